"""Scanning: one source, one answer."""

from triarb.scanning.result import ScannedCycle as ScannedCycle, ScanResult as ScanResult
from triarb.scanning.scan import scan as scan
