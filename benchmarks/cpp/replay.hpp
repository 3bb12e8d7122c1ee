// What the programs of `benchmarks.ticks` share: the file that it writes, and the clock.

#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <vector>

struct Tick {
  int64_t market;
  double bid, ask;
};

struct Replay {
  int64_t vertices, markets, ticks, max_legs, repeats;
  double tight_room, threshold;
  std::vector<int32_t> base, quote;
  std::vector<double> kept_of_sale, kept_of_purchase, bid, ask, worth;
  std::vector<Tick> stream;

  template <typename T>
  static void read(std::FILE *file, std::vector<T> &into, int64_t count) {
    into.resize(count);
    if (count && std::fread(into.data(), sizeof(T), count, file) != size_t(count)) std::exit(2);
  }

  explicit Replay(const char *path) {
    std::FILE *file = std::fopen(path, "rb");
    std::vector<int64_t> sizes;
    std::vector<double> numbers;
    if (!file) std::exit(2);
    read(file, sizes, 5);
    vertices = sizes[0], markets = sizes[1], ticks = sizes[2], max_legs = sizes[3], repeats = sizes[4];
    read(file, numbers, 2);
    tight_room = numbers[0], threshold = numbers[1];
    read(file, base, markets);
    read(file, quote, markets);
    read(file, kept_of_sale, markets);
    read(file, kept_of_purchase, markets);
    read(file, bid, markets);
    read(file, ask, markets);
    read(file, worth, vertices);
    read(file, stream, ticks);
    std::fclose(file);
  }
};

inline double seconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec + now.tv_nsec * 1e-9;
}

// Replays `repeats` times, each from the beginning, and prints nanoseconds a tick, the median, and what `result` says.
template <typename State>
int run(const char *path) {
  Replay replay(path);
  State begun(replay);
  std::vector<double> times;
  int64_t result = 0;
  for (int64_t i = 0; i < replay.repeats; ++i) {
    State state = begun;
    double began = seconds();
    state.advance(replay.stream.data(), replay.stream.data() + replay.ticks);
    times.push_back((seconds() - began) / replay.ticks * 1e9);
    result = state.result();
  }
  std::sort(times.begin(), times.end());
  std::printf("%.3f %lld\n", times[times.size() / 2], (long long)result);
  return 0;
}
