// The market-to-triangles index of the best bots: each tick evaluates, both ways round, all triangles of its market.
//
// Each triangle stands with each of its three markets, as the two other edges, one after the other in memory. What it keeps
// is which triangles are above the threshold. Its answer is of three legs only, and proves nothing of longer cycles.

#include <map>
#include <set>
#include <utility>

#include "replay.hpp"

struct Triangle {
  int32_t second, third;  // edges after the first one, which is the base to the quote of the market; 2 m and 2 m + 1
  int32_t number;         // 2 t that way round, 2 t + 1 the other way
};

struct Index {
  std::vector<int64_t> first;
  std::vector<Triangle> triangles;
  std::vector<double> kept, rate;
  std::vector<uint8_t> above;
  double threshold;
  int64_t count = 0, changes = 0;

  explicit Index(const Replay &replay) : threshold(replay.threshold) {
    int64_t n = replay.markets;
    rate.resize(2 * n);
    for (int64_t m = 0; m < n; ++m) {
      kept.push_back(replay.kept_of_sale[m]);
      kept.push_back(replay.kept_of_purchase[m]);
      bool usable = replay.bid[m] > 0 && replay.ask[m] >= replay.bid[m];
      rate[2 * m] = usable ? replay.bid[m] * kept[2 * m] : 0;
      rate[2 * m + 1] = usable ? kept[2 * m + 1] / replay.ask[m] : 0;
    }
    std::map<std::pair<int32_t, int32_t>, int32_t> edge;
    std::vector<std::vector<int32_t>> around(replay.vertices);
    for (int32_t m = 0; m < n; ++m) {
      edge[{replay.base[m], replay.quote[m]}] = 2 * m;
      edge[{replay.quote[m], replay.base[m]}] = 2 * m + 1;
      around[replay.base[m]].push_back(replay.quote[m]);
      around[replay.quote[m]].push_back(replay.base[m]);
    }
    std::map<std::set<int32_t>, int32_t> known;
    for (int32_t m = 0; m < n; ++m) {
      first.push_back(triangles.size());
      int32_t a = replay.base[m], b = replay.quote[m];
      int32_t few = around[a].size() < around[b].size() ? a : b;
      for (int32_t c : around[few]) {
        auto second = edge.find({b, c}), third = edge.find({c, a});
        if (c == a || c == b || second == edge.end() || third == edge.end()) continue;
        int32_t number = known.emplace(std::set<int32_t>{a, b, c}, int32_t(known.size())).first->second;
        // which way round a > b > c is, as seen from the smallest asset
        bool same = (a < b) + (b < c) + (c < a) == 2;
        triangles.push_back({second->second, third->second, 2 * number + !same});
      }
    }
    first.push_back(triangles.size());
    above.resize(2 * known.size());
    for (int64_t m = 0; m < n; ++m) evaluate(m);
  }

  void note(int32_t number, bool is_above) {
    if (above[number] != is_above) {
      above[number] = is_above;
      count += is_above ? 1 : -1;
      ++changes;
    }
  }

  void evaluate(int64_t market) {
    double there = rate[2 * market], back = rate[2 * market + 1];
    const Triangle *end = triangles.data() + first[market + 1];
    for (const Triangle *t = triangles.data() + first[market]; t != end; ++t) {
      note(t->number, there * rate[t->second] * rate[t->third] > threshold);
      note(t->number ^ 1, back * rate[t->second ^ 1] * rate[t->third ^ 1] > threshold);
    }
  }

  void advance(const Tick *tick, const Tick *end) {
    for (; tick != end; ++tick) {
      int64_t m = tick->market;
      bool usable = tick->bid > 0 && tick->ask >= tick->bid;
      rate[2 * m] = usable ? tick->bid * kept[2 * m] : 0;
      rate[2 * m + 1] = usable ? kept[2 * m + 1] / tick->ask : 0;
      evaluate(m);
    }
  }

  int64_t result() const { return count; }
};

int main(int, char **arguments) { return run<Index>(arguments[1]); }
