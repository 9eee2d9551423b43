/* adaptive.h -- how many an upstream can work on at once, found out by trying. See adaptive.c. */
#ifndef PERILUNE_SCHED_ADAPTIVE_H
#define PERILUNE_SCHED_ADAPTIVE_H

#include <stdbool.h>
#include <stdint.h>

enum adaptive_end {
    ADAPTIVE_GOOD,       /* it answered */
    ADAPTIVE_OVERLOADED, /* it said that it has too much to do: 429, 503, 529 */
    ADAPTIVE_OTHER       /* says nothing about load: the client left, the request was not valid, a cache answered */
};

struct adaptive_sample {
    enum adaptive_end end;
    uint64_t first_us; /* until the first token, or of a whole answer until that is complete; 0: not known */
    uint64_t tokens;   /* of the prompt; 0: not known */
    bool     whole;    /* it did not stream: */
    uint64_t out;      /* and so many tokens had to be written */
};

/* Streams and whole answers: their times cannot be compared with one another. */
struct adaptive_form {
    double   usual; /* microseconds a token, over the long run; 0: not known yet */
    double   sum;   /* of the window */
    unsigned count;
};

struct adaptive {
    unsigned least, most;  /* at least 1; the same: it is fixed */
    double   limit;
    struct adaptive_form form[2]; /* streams, whole answers */
    uint64_t until_ms;     /* the end of this window */
    unsigned busiest;
    uint64_t cut_ms;       /* when it was cut last */
};

/* Starts at `start`, between least and most. */
void     adaptive_init(struct adaptive *a, unsigned least, unsigned most, unsigned start);
/* Other bounds; what was learned stays. */
void     adaptive_bound(struct adaptive *a, unsigned least, unsigned most);
unsigned adaptive_limit(const struct adaptive *a);
/* One has ended, while `busy` were at work, it included. */
void     adaptive_add(struct adaptive *a, const struct adaptive_sample *s, unsigned busy, uint64_t now);

#endif
