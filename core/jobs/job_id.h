/* job_id.h -- what a job is called: "job_", 16 digits of its place in the order of all, 16 of chance.
 *
 * The place is what a queue looks for: milliseconds since 1970, shifted, so that later jobs stand behind earlier
 * ones in a tree on disk.  The chance is what nobody can guess. */
#ifndef PERILUNE_JOBS_JOB_ID_H
#define PERILUNE_JOBS_JOB_ID_H

#include "base/hash.h"
#include "base/hex.h"
#include "jobs/job.h"

#define JOB_KEY_SHIFT 20 /* a million places in a millisecond, for all processes */

static inline void job_id_write(uint64_t key, uint64_t token, char out[JOB_ID_SIZE]) {
    unsigned char bytes[16];
    for (int i = 0; i < 8; i++) {
        bytes[i] = (unsigned char)(key >> (56 - 8 * i));
        bytes[8 + i] = (unsigned char)(token >> (56 - 8 * i));
    }
    memcpy(out, "job_", 4);
    hex_write(bytes, 16, out + 4);
    out[36] = '\0';
}

/* False: no queue gave this id. */
static inline bool job_id_read(struct slice id, uint64_t *key, uint64_t *token) {
    uint64_t parts[2] = { 0, 0 };
    if (id.len != 36 || memcmp(id.ptr, "job_", 4) != 0) return false;
    for (int i = 0; i < 32; i++) {
        int digit = hex_value(id.ptr[4 + i]);
        if (digit < 0 || (id.ptr[4 + i] >= 'A' && id.ptr[4 + i] <= 'F')) return false;
        parts[i / 16] = parts[i / 16] << 4 | (uint64_t)digit;
    }
    if (parts[0] > INT64_MAX) return false; /* files keep it with a sign */
    *key = parts[0];
    *token = parts[1];
    return true;
}

/* The place of the next one behind `last`, of this process. */
static inline uint64_t job_key_next(uint64_t last, uint64_t wall_ms, struct rng *r) {
    uint64_t now = wall_ms << JOB_KEY_SHIFT;
    /* Two processes begin each millisecond in different places, so that they seldom meet. */
    return now > last ? now + (rng_next(r) & 0x7ffff) : last + 1;
}

#endif
