"""The triarb command: it parses, calls the library, and prints."""

from triarb.cli.app import main as main
