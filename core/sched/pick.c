/* pick.c -- which of several upstreams: pure choices among members whose state somebody has read.
 *
 *     weighted  [ a a a | b | c c ]  <-- turn * golden ratio, modulo 1: any run of turns is spread as the weights are,
 *                                        without anything to remember but the turn, also when members come and go
 *     least     (calls + 1) / weight, the smallest; chance decides among equals
 *     latency   two at random, the one with the smaller  latency * (calls + 1) / weight.  Two and not all: the best of
 *               all would get everything until somebody notices (Mitzenmacher's power of two choices).  Who is not
 *               known yet counts as the quickest that is
 *     price     the smallest price; then as least
 *     sticky    rendezvous: the largest -weight / ln(hash(key, member)).  When a member goes, only its own keys move
 *     prefix    the most blocks that it remembers, unless that is nothing or it has too much to do:
 *               more than 1.25 times its share of the calls under way (Mirrokni, Thorup, Zadimoghaddam: consistent
 *               hashing with bounded loads).  Then the fewest calls
 */
#include "sched/pick.h"

#include <math.h>

#define LOAD_MOST 1.25

int pick_weighted(const struct pick_member *m, unsigned n, uint64_t turn) {
    double sum = 0, whole;
    int last = -1;
    for (unsigned i = 0; i < n; i++) sum += m[i].ready ? m[i].weight : 0;
    double at = modf((double)(turn & 0xffffffff) * 0.6180339887498949, &whole) * sum;
    for (unsigned i = 0; i < n; i++) {
        if (!m[i].ready) continue;
        last = (int)i;
        if (at < m[i].weight) break;
        at -= m[i].weight;
    }
    return last;
}

static double load_of(const struct pick_member *m) { return ((double)m->in_flight + 1) / m->weight; }

/* The smallest score; chance among equals. */
static int smallest(const struct pick_member *m, unsigned n, double (*score)(const struct pick_member *m),
                    struct rng *rng) {
    int best = -1;
    unsigned equals = 0;
    for (unsigned i = 0; i < n; i++) {
        if (!m[i].ready) continue;
        double mine = score(&m[i]), theirs = best >= 0 ? score(&m[best]) : INFINITY;
        if (mine < theirs) equals = 0;
        if (mine <= theirs && rng_next(rng) % ++equals == 0) best = (int)i;
    }
    return best;
}

int pick_least(const struct pick_member *m, unsigned n, struct rng *rng) { return smallest(m, n, load_of, rng); }

/* A ready one at random, but not `other`; -1: there is none. */
static int any(const struct pick_member *m, unsigned n, int other, struct rng *rng) {
    int found = -1;
    unsigned seen = 0;
    for (unsigned i = 0; i < n; i++)
        if (m[i].ready && (int)i != other && rng_next(rng) % ++seen == 0) found = (int)i;
    return found;
}

static uint64_t quickest(const struct pick_member *m, unsigned n) {
    uint64_t least = 0;
    for (unsigned i = 0; i < n; i++)
        if (m[i].ready && m[i].latency_us > 0 && (least == 0 || m[i].latency_us < least)) least = m[i].latency_us;
    return least > 0 ? least : 1;
}

int pick_latency(const struct pick_member *m, unsigned n, struct rng *rng) {
    int a = any(m, n, -1, rng), b = a < 0 ? -1 : any(m, n, a, rng);
    if (b < 0) return a;
    uint64_t unknown = quickest(m, n);
    double of_a = (double)(m[a].latency_us ? m[a].latency_us : unknown) * load_of(&m[a]);
    double of_b = (double)(m[b].latency_us ? m[b].latency_us : unknown) * load_of(&m[b]);
    return of_b < of_a ? b : a;
}

int pick_price(const struct pick_member *m, unsigned n, struct rng *rng) {
    struct pick_member cheap[PICK_MOST];
    double least = INFINITY;
    for (unsigned i = 0; i < n; i++)
        if (m[i].ready && m[i].price < least) least = m[i].price;
    for (unsigned i = 0; i < n; i++) {
        cheap[i] = m[i];
        cheap[i].ready = m[i].ready && m[i].price <= least;
    }
    return pick_least(cheap, n, rng);
}

/* splitmix64's finisher: all bits of the result depend on all bits of both. */
static uint64_t mixed(uint64_t key, uint64_t id) {
    uint64_t z = key ^ (id * UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

int pick_sticky(const struct pick_member *m, unsigned n, uint64_t key) {
    int best = -1;
    double most = 0;
    for (unsigned i = 0; i < n; i++) {
        if (!m[i].ready) continue;
        double u = ((double)(mixed(key, m[i].id) >> 11) + 0.5) / 9007199254740992.0; /* between 0 and 1, neither */
        double score = -m[i].weight / log(u);
        if (best >= 0 && score <= most) continue;
        most = score;
        best = (int)i;
    }
    return best;
}

/* With this call, would it have more than its share allows? */
static bool is_loaded(const struct pick_member *m, unsigned n, unsigned i) {
    double weights = 0, calls = 1;
    for (unsigned k = 0; k < n; k++) {
        if (!m[k].ready) continue;
        weights += m[k].weight;
        calls += (double)m[k].in_flight;
    }
    return (double)m[i].in_flight + 1 > ceil(LOAD_MOST * calls * m[i].weight / weights);
}

int pick_prefix(const struct pick_member *m, unsigned n, struct rng *rng) {
    struct pick_member best[PICK_MOST];
    unsigned most = 0;
    for (unsigned i = 0; i < n; i++) {
        best[i] = m[i];
        best[i].ready = m[i].ready && m[i].matched > 0 && !is_loaded(m, n, i);
        if (best[i].ready && m[i].matched > most) most = m[i].matched;
    }
    for (unsigned i = 0; i < n; i++) best[i].ready &= m[i].matched == most;
    return most > 0 ? pick_least(best, n, rng) : pick_least(m, n, rng);
}

bool pick_is_long(const struct pick_member *m, unsigned n, uint64_t longs, const uint64_t *ends, uint64_t bytes,
                  uint64_t above) {
    unsigned most = 0;
    for (unsigned i = 0; i < n; i++)
        if (!(longs >> i & 1) && m[i].ready && m[i].matched > most) most = m[i].matched;
    uint64_t known = most > 0 ? ends[most - 1] : 0;
    return bytes > known && bytes - known > above;
}

uint64_t pick_suspects(const uint64_t *wait_ms, unsigned n) {
    uint64_t found = 0;
    unsigned resting = 0;
    for (unsigned i = 0; i < n; i++) resting += wait_ms[i] > 0;
    if (resting == n) resting = (n + 1) / 2 + 1; /* all: one is tried */
    for (; resting > (n + 1) / 2; resting--) {
        int least = -1;
        for (unsigned i = 0; i < n; i++)
            if (wait_ms[i] > 0 && !(found >> i & 1) && (least < 0 || wait_ms[i] < wait_ms[least])) least = (int)i;
        found |= UINT64_C(1) << least;
    }
    return found;
}
