// The certificate of `triarb.finders.advance`, written for this machine: the limit that the kernel is measured against.
//
// It answers the same after every tick: a proof for every length, none of up to n legs, or the list of all. It has structs, 32-bit
// numbers and one cache line for all that a calm tick needs of a market; one market to a pair.

#include <cmath>

#include "replay.hpp"

constexpr double MARGIN = 1e-12, UNCERTAIN = 1e-11, MOST_GAIN = 1e100;
constexpr int FEW = 16, MAX_LEGS = 8;
enum : int32_t { TIGHT = 1, ASIDE = 2, ASIDE_BACK = 4, LINKED = 8 };

struct Pair {
  int32_t end[2], state, unused;
  double kept[2], rate[2];
};

struct Cycle {
  int32_t legs, edge[MAX_LEGS];
  double product;
};

struct Certificate {
  int64_t vertices, max_legs;
  double over = 1 + MARGIN, threshold, bar, tight_room, loose_room, far_room, max_drift;
  double gain = 1, gain_of_few = 1, near = 1, near_tight = 1;
  std::vector<Pair> pairs;
  std::vector<double> worth, move_by, drift;
  std::vector<int32_t> first, adjacent, place, tight, held, held_place, by_edge, heap, heap_place, moved, slots, todo;
  std::vector<std::vector<int32_t>> blocker, blocked;  // by edge: the cycle in its way, and in whose way it is
  std::vector<std::vector<int32_t>> through;           // by edge: the cycles through it
  std::vector<Cycle> cycles;
  std::vector<int32_t> free_cycles;
  int64_t listed = 0;
  int32_t path[MAX_LEGS];
  double found_product = 0;
  bool searches = false;

  int32_t tail(int32_t e) const { return pairs[e >> 1].end[e & 1]; }
  int32_t head(int32_t e) const { return pairs[e >> 1].end[1 - (e & 1)]; }
  double rate(int32_t e) const { return pairs[e >> 1].rate[e & 1]; }
  bool aside(int32_t e) const { return pairs[e >> 1].state & (ASIDE << (e & 1)); }
  int32_t degree(int32_t v) const { return first[v + 1] - first[v]; }

  explicit Certificate(const Replay &replay)
      : vertices(replay.vertices), max_legs(replay.max_legs), threshold(replay.threshold), tight_room(replay.tight_room) {
    bar = threshold * (1 - UNCERTAIN);
    loose_room = tight_room * tight_room;
    far_room = loose_room * loose_room;
    max_drift = std::sqrt(tight_room);
    int64_t n = replay.markets, edges = 2 * n;
    worth = replay.worth;
    move_by.assign(vertices, 1), drift.assign(vertices, 1);
    for (int64_t m = 0; m < n; ++m)
      pairs.push_back({{replay.base[m], replay.quote[m]}, 0, 0, {replay.kept_of_sale[m], replay.kept_of_purchase[m]}, {0, 0}});
    std::vector<std::vector<int32_t>> leaving(vertices);
    for (int32_t e = 0; e < edges; ++e) leaving[tail(e)].push_back(e);
    place.resize(edges), held_place.resize(edges), blocker.resize(edges), blocked.resize(edges), through.resize(edges);
    for (auto &out : leaving) {
      first.push_back(adjacent.size());
      for (int32_t e : out) place[e] = adjacent.size(), adjacent.push_back(e);
    }
    first.push_back(adjacent.size());
    tight.resize(vertices), by_edge.resize(vertices), heap.resize(vertices), heap_place.resize(vertices), moved.resize(vertices);
    size_t size = 1;
    while (size <= size_t(2 * n)) size *= 2;
    slots.assign(2 * size, 0);
    for (int64_t m = 0; m < n; ++m) slots[slot(pairs[m].end[0], pairs[m].end[1])] = m + 1;
    weigh();
    for (int64_t m = 0; m < n; ++m) {
      Tick tick{m, replay.bid[m], replay.ask[m]};
      advance(&tick, &tick + 1);
    }
    searches = true;
    auto begun = held;
    for (int32_t e : begun) search(e);
  }

  size_t slot(int32_t u, int32_t v) const {
    int64_t low = std::min(u, v), high = std::max(u, v);
    size_t at = (low * 73856093 + high * 19349663) & (slots.size() - 1);
    for (;; at = (at + 1) & (slots.size() - 1)) {
      int32_t pair = slots[at] - 1;
      if (pair < 0) return at;
      if (std::min(pairs[pair].end[0], pairs[pair].end[1]) == low && std::max(pairs[pair].end[0], pairs[pair].end[1]) == high) return at;
    }
  }

  void hold(int32_t e) {
    pairs[e >> 1].state |= ASIDE << (e & 1);
    held_place[e] = held.size();
    held.push_back(e);
  }

  void let_go(int32_t e) {
    pairs[e >> 1].state &= ~(ASIDE << (e & 1));
    held[held_place[e]] = held.back();
    held_place[held.back()] = held_place[e];
    held.pop_back();
  }

  void mark(int32_t pair) {
    bool was = pairs[pair].state & TIGHT;
    pairs[pair].state ^= TIGHT;
    for (int32_t e : {2 * pair, 2 * pair + 1}) {
      int32_t v = tail(e);
      if (was) --tight[v];
      int32_t there = first[v] + tight[v];
      if (!was) ++tight[v];
      int32_t here = place[e], other = adjacent[there];
      adjacent[there] = e, adjacent[here] = other;
      place[e] = there, place[other] = here;
    }
  }

  void move(int32_t v, double to) {
    double was = worth[v];
    worth[v] = to;
    drift[v] *= was > to ? was / to : to / was;
    if (degree(v) > FEW && drift[v] <= max_drift) return;
    drift[v] = 1;
    double loose = loose_room * over;
    for (int32_t at = first[v]; at < first[v + 1]; ++at) {
      int32_t e = adjacent[at];
      double other = worth[head(e)];
      bool is_tight = rate(e) * other * loose > to || rate(e ^ 1) * to * loose > other;
      if (is_tight != bool(pairs[e >> 1].state & TIGHT)) {
        mark(e >> 1);
        if (!is_tight) --at;
      }
    }
  }

  void rise(int32_t at) {
    int32_t v = heap[at];
    double key = move_by[v];
    while (at > 0) {
      int32_t parent = (at - 1) >> 1, other = heap[parent];
      if (move_by[other] >= key) break;
      heap[at] = other, heap_place[other] = at + 1;
      at = parent;
    }
    heap[at] = v, heap_place[v] = at + 1;
  }

  int32_t pop(int32_t size) {
    int32_t top = heap[0];
    heap_place[top] = -1;
    if (--size == 0) return top;
    int32_t v = heap[size], at = 0, child = 1;
    double key = move_by[v];
    while (child < size) {
      if (child + 1 < size && move_by[heap[child + 1]] > move_by[heap[child]]) ++child;
      int32_t other = heap[child];
      if (move_by[other] <= key) break;
      heap[at] = other, heap_place[other] = at + 1;
      at = child, child = 2 * at + 1;
    }
    heap[at] = v, heap_place[v] = at + 1;
    return top;
  }

  void block(int32_t e) {
    for (int32_t other : blocker[e]) {
      blocked[other].push_back(e);
      pairs[other >> 1].state |= LINKED;
    }
  }

  bool release(int32_t e) {
    if (!aside(e)) return false;
    for (int32_t other : blocker[e]) {
      auto &list = blocked[other];
      list.erase(std::find(list.begin(), list.end(), e));
    }
    blocker[e].clear();
    int32_t u = tail(e), v = head(e);
    double lacking = rate(e) * worth[v] * over / worth[u];
    if (lacking <= 1) {
      let_go(e);
      return false;
    }
    bool forward = degree(v) <= degree(u);
    int32_t origin = forward ? v : u, last = forward ? u : v;
    int32_t end = first[origin + 1];
    double low = 0, high = INFINITY;
    if (degree(origin) > FEW && lacking <= tight_room) {
      end = first[origin] + tight[origin];
      low = worth[origin] / tight_room, high = worth[origin] * tight_room;
    }
    for (int32_t at = first[origin]; at < end; ++at) {
      int32_t out = adjacent[at];
      double other = worth[head(out)];
      if (out == e || !aside(out)) low = std::max(low, rate(out) * other * over);
      if (rate(out ^ 1) > 0 && ((out ^ 1) == e || !aside(out ^ 1))) high = std::min(high, other / (rate(out ^ 1) * over));
    }
    if (low <= high) {
      let_go(e);
      move(origin, low == 0 ? high : high == INFINITY ? low : std::sqrt(low) * std::sqrt(high));
      return true;
    }
    int32_t legs = 0;
    seek(e, threshold, [&](int32_t found) { return legs = found, false; });
    if (legs) {
      move(origin, forward ? low : high);
      blocker[e].assign(path, path + legs);
      block(e);
      return true;
    }

    int32_t count = 1, size = 1;
    bool meets = false;
    move_by[origin] = lacking, moved[0] = heap[0] = origin, heap_place[origin] = 1;
    while (size > 0) {
      int32_t x = pop(size--);
      if ((meets = x == last)) break;
      double shift = move_by[x], scale = forward ? shift * over / worth[x] : shift * over * worth[x];
      int32_t stop = degree(x) > FEW && shift <= tight_room ? first[x] + tight[x] : first[x + 1];
      for (int32_t at = first[x]; at < stop; ++at) {
        int32_t out = adjacent[at], y = head(out), way = forward ? out : out ^ 1;
        double far = forward ? rate(way) * scale * worth[y] : rate(way) * scale / worth[y];
        if (far <= move_by[y] || heap_place[y] < 0 || aside(way)) continue;
        if (heap_place[y] == 0) moved[count++] = y, heap[size] = y, heap_place[y] = ++size;
        move_by[y] = far, by_edge[y] = way;
        rise(heap_place[y] - 1);
      }
    }
    double shortest = move_by[last];
    for (int32_t i = 0; i < count; ++i) {
      int32_t x = moved[i];
      double shift = move_by[x] / shortest;
      move_by[x] = 1, heap_place[x] = 0;
      if (shift > 1) worth[x] = forward ? worth[x] / shift : worth[x] * shift, drift[x] *= shift;
    }
    for (int32_t i = 0; i < count; ++i) move(moved[i], worth[moved[i]]);
    if (!meets) {
      let_go(e);
      return true;
    }
    blocker[e].push_back(e);
    for (int32_t x = last; x != origin; x = forward ? tail(by_edge[x]) : head(by_edge[x])) blocker[e].push_back(by_edge[x]);
    block(e);
    return true;
  }

  double gain_besides(int32_t besides, int most) const {
    double top[MAX_LEGS], product = 1;
    int found = 0;
    for (int32_t e : held) {
      if (e == besides) continue;
      double out = rate(e) * worth[head(e)] / worth[tail(e)] * (1 + 2 * MARGIN);
      if (most > MAX_LEGS) {
        product *= std::max(1.0, out);
      } else if (found < most || out > top[most - 1]) {
        int at = (found = std::min(found + 1, most)) - 1;
        for (; at > 0 && top[at - 1] < out; --at) top[at] = top[at - 1];
        top[at] = out;
      }
    }
    for (int i = 0; i < found; ++i) product *= std::max(1.0, top[i]);
    return std::min(product, MOST_GAIN);
  }

  // Calls `found` with the number of legs of each cycle through e above `above`, its edges in `path`, until that is false.
  template <typename Found>
  void seek(int32_t e, double above, Found found) {
    double paid = aside(e) ? gain_besides(e, max_legs - 1) : gain_of_few;
    if (rate(e) * worth[head(e)] * paid <= above * worth[tail(e)]) return;
    int32_t chosen[MAX_LEGS];
    path[0] = e;
    descend(e, above, paid, 0, head(e), tail(e), rate(e), false, chosen, found);
  }

  template <typename Found>
  bool descend(int32_t e, double above, double paid, int depth, int32_t left, int32_t right, double product, bool over_held_leftward,
               int32_t *chosen, Found &found) {
    int last = max_legs - 2;
    if (depth > 0) {
      int32_t pair = slots[slot(left, right)] - 1;
      if (pair >= 0) {
        int32_t closing = 2 * pair + (pairs[pair].end[0] != left);
        if (product * rate(closing) > above && !(over_held_leftward && aside(closing))) {
          found_product = product * rate(closing);
          int count = 1;
          for (int i = 0; i < depth; ++i)
            if (chosen[i] >= 0) path[count++] = chosen[i];
          path[count++] = closing;
          for (int i = depth - 1; i >= 0; --i)
            if (chosen[i] < 0) path[count++] = ~chosen[i];
          if (!found(depth + 2)) return false;
        }
      }
    }
    if (depth == last) return true;
    int32_t outs = degree(left), ins = degree(right);
    if (product * worth[left] * paid <= above * tight_room * worth[right]) {
      outs = outs > FEW ? tight[left] : outs;
      ins = ins > FEW ? tight[right] : ins;
    }
    int32_t fewer = std::min(outs, ins);
    if (depth == last - 1 && int32_t(held.size()) < fewer) {
      bool has_held = aside(e);
      for (int i = 0; i < depth; ++i) has_held |= aside(chosen[i] < 0 ? ~chosen[i] : chosen[i]);
      if (!has_held) {
        for (int32_t h : held) {
          bool rightward = tail(h) == left;
          if (!rightward && head(h) != right) continue;
          if (!step(e, above, paid, depth, left, right, product, h, rightward, !rightward, chosen, found)) return false;
        }
        return true;
      }
    }
    bool leftward = ins < outs;
    int32_t begin = first[leftward ? right : left];
    for (int32_t at = begin; at < begin + fewer; ++at)
      if (!step(e, above, paid, depth, left, right, product, adjacent[at] ^ int32_t(leftward), !leftward, false, chosen, found)) return false;
    return true;
  }

  template <typename Found>
  bool step(int32_t e, double above, double paid, int depth, int32_t left, int32_t right, double product, int32_t next, bool rightward,
            bool over_held_leftward, int32_t *chosen, Found &found) {
    int32_t v = rightward ? head(next) : tail(next);
    double onward = product * rate(next);
    int32_t new_left = rightward ? v : left, new_right = rightward ? right : v;
    if (onward * worth[new_left] * paid <= above * worth[new_right]) return true;
    if (v == head(e) || v == tail(e)) return true;
    for (int i = 0; i < depth; ++i)
      if (v == (chosen[i] < 0 ? tail(~chosen[i]) : head(chosen[i]))) return true;
    chosen[depth] = rightward ? next : ~next;
    return descend(e, above, paid, depth + 1, new_left, new_right, onward, over_held_leftward, chosen, found);
  }

  void remove(int32_t c) {
    Cycle &cycle = cycles[c];
    listed -= cycle.product > threshold;
    for (int i = 0; i < cycle.legs; ++i) {
      auto &list = through[cycle.edge[i]];
      *std::find(list.begin(), list.end(), c) = list.back();
      list.pop_back();
    }
    free_cycles.push_back(c);
  }

  void search(int32_t e) {
    while (!through[e].empty()) remove(through[e].back());
    seek(e, bar, [&](int32_t legs) {
      if (legs < 3) return true;
      int32_t c = cycles.size();
      if (free_cycles.empty()) cycles.emplace_back();
      else c = free_cycles.back(), free_cycles.pop_back();
      Cycle &cycle = cycles[c];
      cycle.legs = legs, cycle.product = found_product;
      listed += found_product > threshold;
      for (int i = 0; i < legs; ++i) {
        cycle.edge[i] = path[i];
        through[path[i]].push_back(c);
        pairs[path[i] >> 1].state |= LINKED;
      }
      return true;
    });
  }

  void recheck(int32_t e) {
    for (size_t i = 0; i < through[e].size();) {
      Cycle &cycle = cycles[through[e][i]];
      double product = 1;
      for (int j = 0; j < cycle.legs; ++j) product *= rate(cycle.edge[j]);
      if (product <= bar) {
        remove(through[e][i]);
        continue;
      }
      listed += (product > threshold) - (cycle.product > threshold);
      cycle.product = product;
      ++i;
    }
  }

  void weigh() {
    gain = gain_besides(-1, MAX_LEGS + 1);
    gain_of_few = gain_besides(-1, max_legs - 1);
    near_tight = std::max(over, gain_of_few / bar);
    near = std::max(near_tight, loose_room * over);
  }

  void advance(const Tick *tick, const Tick *end) {
    for (; tick != end; ++tick) {
      Pair &pair = pairs[tick->market];
      double sells = 0, buys = 0;
      if (tick->bid > 0 && tick->bid <= tick->ask) sells = tick->bid * pair.kept[0], buys = pair.kept[1] / tick->ask;
      double base = worth[pair.end[0]], quote = worth[pair.end[1]], there = sells * quote, back = buys * base;
      if (pair.state <= TIGHT) {
        double bound = pair.state ? near_tight : near;
        if (there * bound <= base && back * bound <= quote &&
            (!pair.state || there * far_room * over > base || back * far_room * over > quote)) {
          pair.rate[0] = sells, pair.rate[1] = buys;
          continue;
        }
      }
      slow(tick->market, sells, buys, there, back, base, quote);
    }
  }

  __attribute__((noinline)) void slow(int32_t number, double sells, double buys, double there, double back, double base, double quote) {
    Pair &pair = pairs[number];
    int32_t e = 2 * number, state = pair.state;
    bool rises = sells >= pair.rate[0], rises_back = buys >= pair.rate[1];
    pair.rate[0] = sells, pair.rate[1] = buys;
    if (state & TIGHT) {
      if (there * far_room * over <= base && back * far_room * over <= quote) mark(number);
    } else if (there * loose_room * over > base || back * loose_room * over > quote) {
      mark(number);
    }
    todo.clear();
    if (there * over > base && !(state & ASIDE)) hold(e), todo.push_back(e);
    if (back * over > quote && !(state & ASIDE_BACK)) hold(e + 1), todo.push_back(e + 1);
    if (!held.empty() && !rises) todo.insert(todo.end(), blocked[e].begin(), blocked[e].end());
    if (!held.empty() && !rises_back) todo.insert(todo.end(), blocked[e + 1].begin(), blocked[e + 1].end());
    bool changes = pair.state & (ASIDE | ASIDE_BACK) || !todo.empty();
    for (size_t i = 0; i < todo.size(); ++i) release(todo[i]);
    if (changes) weigh();
    if (searches && (!held.empty() || pair.state & LINKED)) {
      rises ? search(e) : recheck(e);
      rises_back ? search(e + 1) : recheck(e + 1);
    }
    if (through[e].empty() && through[e + 1].empty() && blocked[e].empty() && blocked[e + 1].empty()) pair.state &= ~LINKED;
  }

  int64_t result() const { return listed; }
};

int main(int, char **arguments) { return run<Certificate>(arguments[1]); }
