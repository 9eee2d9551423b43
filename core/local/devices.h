/* devices.h -- what of a model goes into the memory of GPUs. See devices.c. */
#ifndef PERILUNE_LOCAL_DEVICES_H
#define PERILUNE_LOCAL_DEVICES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "include/perilune_engine.h"

#define DEVICES_MAX 64 /* of a machine, its processors included */
#define DEVICES_USED 16 /* by one model: the library's limit */

struct device {
    void       *handle; /* the library's */
    const char *name;   /* "CUDA0" */
    bool        is_gpu;
    uint64_t    free, total; /* bytes; total 0: it does not say */
};

/* How much there is to place. */
struct device_need {
    uint64_t layers;  /* 1 ... ; what stands behind the last of them counts as one more */
    uint64_t weights; /* bytes */
    uint64_t memory;  /* bytes of keys and values of all positions */
};

struct device_plan {
    void    *devices[DEVICES_USED + 1]; /* that are used, then NULL */
    float    split[DEVICES_USED];       /* of them, in this order; all 0: as the library likes */
    unsigned count;                    /* 0: the processor does it all */
    int      layers;
    char     note[300];                 /* what was decided, for people; "": nothing was to be */
};

/* What `o` wants, on these devices.  0, or PERILUNE_ERR_ENGINE with a sentence in why. */
int devices_plan(const struct device *all, unsigned n, const struct perilune_engine_options *o,
                 const struct device_need *need, struct device_plan *out, char *why, size_t why_size);
/* Could a machine with these GPUs, and so many bytes beside its processor (0: nobody knows), ever hold a context of so
 * many positions, whose keys and values take so many bytes at most? */
bool devices_could_hold(const struct device *all, unsigned n, double processor, uint64_t cells, double bytes);

#endif
