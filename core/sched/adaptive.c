/* adaptive.c -- how many an upstream can work on at once, found out by trying.
 *
 *     window of a second:  time until the first token, for each token of the prompt
 *         as usual      the limit grows by its square root
 *         longer        it shrinks by the same share as it took longer (more than TOLERANCE times), by half at most
 *     429, 503, 529     it shrinks by a fifth at once, once a window
 *
 * The gradient of Netflix' concurrency-limits (Gradient2), with two changes.  It does not look at how long an answer
 * takes, which says how much a model has to say, but at its first token; and not at the time alone, since prompts
 * differ in length by four orders of magnitude, and a long one takes longer without any load: the time is taken
 * for each token, with FIXED tokens' worth for what every request costs.  And it looks at windows, not
 * at single requests, whose times spread too far to say anything.
 *
 * Of an answer that does not stream only its end is known, which has what was written in it: there each token of the
 * answer counts as much as WRITTEN of the prompt, about what engines take for it.  So streams and whole answers have a
 * usual time each, and a window goes by how much longer than usual both took, in proportion to how many they were.
 *
 * The usual time is that of an upstream that has little to do: windows that were quicker, in which less than half of
 * the limit was in use, or at the least limit, count QUICK; others hardly (SLOW), or a queue that stands would become
 * usual.  While less than half of the limit is in use, times say nothing about it, and it stays.
 *
 * It does not lock, and does not know who waits. */
#include "sched/adaptive.h"

#include <math.h>

#define WINDOW_MS 1000
#define LEAST     10   /* requests of a window that says anything */
#define TOLERANCE 1.5
#define SMOOTH    0.2
#define QUICK     0.1    /* how much of a window the usual time becomes, when load cannot be why it changed, */
#define SLOW      0.002  /* and when it can: in ten minutes an upstream that became slower is believed */
#define FIXED     500  /* tokens */
#define WRITTEN   30   /* tokens of a prompt that are read in the time in which one is written */

static double between(double x, double least, double most) { return x < least ? least : x > most ? most : x; }

void adaptive_bound(struct adaptive *a, unsigned least, unsigned most) {
    a->least = least > 0 ? least : 1;
    a->most = most > a->least ? most : a->least;
    a->limit = between(a->limit, a->least, a->most);
}

void adaptive_init(struct adaptive *a, unsigned least, unsigned most, unsigned start) {
    *a = (struct adaptive){ .limit = start };
    adaptive_bound(a, least, most);
}

unsigned adaptive_limit(const struct adaptive *a) { return (unsigned)a->limit; }

static void begin_window(struct adaptive *a, uint64_t now) {
    a->until_ms = now + WINDOW_MS;
    a->busiest = 0;
    for (int i = 0; i < 2; i++) a->form[i].sum = a->form[i].count = 0;
}

/* Times of an upstream that has little to do are its usual ones. */
static void learn(const struct adaptive *a, struct adaptive_form *f, double took, bool idle) {
    if (f->usual <= 0) f->usual = took;
    bool free_of_load = took < f->usual || idle || adaptive_limit(a) == a->least;
    f->usual += (took - f->usual) * (free_of_load ? QUICK : SLOW);
}

static unsigned count_of(const struct adaptive *a) { return a->form[0].count + a->form[1].count; }

/* The window is over. */
static void judge(struct adaptive *a) {
    double longer = 0; /* how many times as long as usual it took */
    bool idle = a->busiest * 2 < adaptive_limit(a);
    for (int i = 0; i < 2; i++) {
        struct adaptive_form *f = &a->form[i];
        if (f->count == 0) continue;
        double took = f->sum / f->count;
        learn(a, f, took, idle);
        longer += took / f->usual * f->count / count_of(a);
    }
    if (idle) return;
    double gradient = between(TOLERANCE / longer, 0.5, 1);
    double next = a->limit * gradient + sqrt(a->limit);
    a->limit = between(a->limit + SMOOTH * (next - a->limit), a->least, a->most);
}

static void cut(struct adaptive *a, uint64_t now) {
    if (a->cut_ms != 0 && now < a->cut_ms + WINDOW_MS) return;
    a->cut_ms = now;
    a->limit = between(a->limit * 0.8, a->least, a->most);
    begin_window(a, now);
}

void adaptive_add(struct adaptive *a, const struct adaptive_sample *s, unsigned busy, uint64_t now) {
    if (a->least == a->most) return;
    if (a->until_ms == 0) begin_window(a, now);
    if (busy > a->busiest) a->busiest = busy;
    if (s->end == ADAPTIVE_OVERLOADED) cut(a, now);
    if (s->end == ADAPTIVE_GOOD && s->first_us > 0) {
        struct adaptive_form *f = &a->form[s->whole];
        f->sum += (double)s->first_us / (double)(FIXED + s->tokens + (s->whole ? WRITTEN * s->out : 0));
        f->count++;
    }
    if (now < a->until_ms || count_of(a) < LEAST) return;
    judge(a);
    begin_window(a, now);
}
