// The bounded search in C++: what triarb's search is measured against.
//
// The same question with the same bounds as triarb.finders.kernel: all simple cycles above a bar, or the best one. The
// graph is laid out once; timed is what a change of rates costs, a search and its answer in order.
//
// In: vertices, edges, roots, min legs, max legs, bar, whether only the best, rounds; then by edge its tail, its head
// (vertices numbered as they are to be searched) and its rate. Out: the median in microseconds, how many cycles, the
// best product.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <vector>

struct Found {
    double product;
    int32_t end;
};

struct Search {
    int vertices, roots, min_legs, max_legs;
    std::vector<int32_t> out_first, in_first, out_head, in_tail, out_edge, in_edge;
    std::vector<double> table, best, product;
    std::vector<int32_t> closing, reached, improved, better, path, taken, cursor;
    std::vector<uint8_t> on_path;
    std::vector<Found> found;
    std::vector<int32_t> edges;

    int relax(int root) {
        const double* rate = table.data();
        double* one = &best[vertices];
        int count = 0;
        for (int i = in_first[root]; i < in_first[root + 1] && in_tail[i] > root; i++) {
            int v = in_tail[i];
            if (rate[in_edge[i]] > 0.0) {
                closing[v] = in_edge[i];
                one[v] = rate[in_edge[i]];
                reached[count] = improved[count] = v;
                count++;
            }
        }
        int improving = count;
        for (int legs = 2; legs < max_legs; legs++) {
            double* level = &best[legs * vertices];
            const double* below = level - vertices;
            for (int i = 0; i < count; i++) level[reached[i]] = below[reached[i]];
            int bettered = 0;
            for (int k = 0; k < improving; k++) {
                const double rest = below[improved[k]];
                for (int i = in_first[improved[k]]; i < in_first[improved[k] + 1]; i++) {
                    const int v = in_tail[i];
                    if (v <= root) break;
                    const double worth = rate[in_edge[i]] * rest;
                    if (worth > level[v]) {
                        const double before = below[v];
                        if (level[v] == before) {
                            better[bettered++] = v;
                            if (before == 0.0) reached[count++] = v;
                        }
                        level[v] = worth;
                    }
                }
            }
            std::swap(improved, better);
            improving = bettered;
        }
        return count;
    }

    void run(double bar, double keep) {
        const double* rate = table.data();
        found.clear();
        edges.clear();
        for (int root = 0; root < roots; root++) {
            const int count = relax(root);
            if (!count) continue;
            const double* one = &best[vertices];
            int depth = 0;
            path[0] = root;
            product[0] = 1.0;
            cursor[0] = out_first[root];
            while (depth >= 0) {
                const int v = path[depth];
                const int left = max_legs - depth - 1;
                const double so_far = product[depth];
                const double* rest = &best[left * vertices];
                const int end = out_first[v + 1];
                int i = cursor[depth];
                bool descends = false;
                for (; i < end; i++) {
                    const int w = out_head[i];
                    if (w <= root) break;
                    const double onward = so_far * rate[out_edge[i]];
                    if (!(onward * rest[w] > bar) || on_path[w]) continue;
                    taken[depth] = out_edge[i];
                    const double whole = onward * one[w];
                    if (depth + 2 >= min_legs && whole > bar) {
                        for (int d = 0; d <= depth; d++) edges.push_back(taken[d]);
                        edges.push_back(closing[w]);
                        found.push_back({whole, static_cast<int32_t>(edges.size())});
                        bar = std::max(bar, whole * keep);
                    }
                    if (left > 1) {
                        cursor[depth] = i + 1;
                        depth++;
                        on_path[w] = 1;
                        path[depth] = w;
                        product[depth] = onward;
                        cursor[depth] = out_first[w];
                        descends = true;
                        break;
                    }
                }
                if (!descends) {
                    on_path[v] = 0;
                    depth--;
                }
            }
            for (int i = 0; i < count; i++)
                for (int legs = 1; legs < max_legs; legs++) best[legs * vertices + reached[i]] = 0.0;
        }
    }
};

int main() {
    Search s;
    int count, rounds, only_best;
    double bar;
    if (scanf("%d %d %d %d %d %lf %d %d", &s.vertices, &count, &s.roots, &s.min_legs, &s.max_legs,
              &bar, &only_best, &rounds) != 8)
        return 1;
    std::vector<int32_t> tail(count), head(count), order(count);
    std::vector<double> times;
    s.table.resize(count);
    for (int e = 0; e < count; e++)
        if (scanf("%d %d %lf", &tail[e], &head[e], &s.table[e]) != 3) return 1;
    const int n = s.vertices, legs = s.max_legs;
    s.out_first.resize(n + 1);
    s.in_first.resize(n + 1);
    for (int e = 0; e < count; e++) {
        order[e] = e;
        s.out_first[tail[e] + 1]++;
        s.in_first[head[e] + 1]++;
    }
    for (int v = 0; v < n; v++) {
        s.out_first[v + 1] += s.out_first[v];
        s.in_first[v + 1] += s.in_first[v];
    }
    std::sort(order.begin(), order.end(), [&](int a, int b) {
        return tail[a] != tail[b] ? tail[a] < tail[b] : head[a] > head[b];
    });
    for (int i = 0; i < count; i++) {
        s.out_edge.push_back(order[i]);
        s.out_head.push_back(head[order[i]]);
    }
    std::sort(order.begin(), order.end(), [&](int a, int b) {
        return head[a] != head[b] ? head[a] < head[b] : tail[a] > tail[b];
    });
    for (int i = 0; i < count; i++) {
        s.in_edge.push_back(order[i]);
        s.in_tail.push_back(tail[order[i]]);
    }
    s.best.assign(static_cast<size_t>(legs) * n, 0.0);
    s.product.resize(legs);
    for (auto* ints : {&s.closing, &s.reached, &s.improved, &s.better}) ints->resize(n);
    for (auto* ints : {&s.path, &s.taken, &s.cursor}) ints->resize(legs);
    s.on_path.assign(n, 0);
    const double keep = only_best ? 1.0 : 0.0;
    for (int round = 0; round < rounds; round++) {
        const auto began = std::chrono::steady_clock::now();
        s.run(bar, keep);
        std::sort(s.found.begin(), s.found.end(),
                  [](const Found& a, const Found& b) { return a.product > b.product; });
        const auto done = std::chrono::steady_clock::now();
        times.push_back(std::chrono::duration<double, std::micro>(done - began).count());
    }
    std::sort(times.begin(), times.end());
    printf("%.3f %zu %.17g\n", times[times.size() / 2], s.found.size(),
           s.found.empty() ? 0.0 : s.found[0].product);
}
