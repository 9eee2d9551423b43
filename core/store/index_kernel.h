/* index_kernel.h -- the inner loops of index.c. See index_kernel.c. */
#ifndef PERILUNE_STORE_INDEX_KERNEL_H
#define PERILUNE_STORE_INDEX_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct index_kernel {
    const char *name;
    /* The sum of products of n numbers, a multiple of 64. */
    int32_t   (*dot)(const int8_t *a, const int8_t *b, size_t n);
    /* In how many bits each of `count` rows of n words differs from q. */
    void      (*distances)(const uint64_t *q, const uint64_t *rows, size_t n, size_t count, uint16_t *out);
};

/* The best that this machine has, or the one of that name (NULL: the best); NULL: it has it not. */
const struct index_kernel *index_kernel_find(const char *name);

#endif
