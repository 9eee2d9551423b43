/* little.h -- numbers in files, little-endian on every machine. */
#ifndef PERILUNE_BASE_LITTLE_H
#define PERILUNE_BASE_LITTLE_H

#include <stdint.h>
#include <string.h>

#include "base/buf.h"

static inline void little_put_u16(struct buf *out, unsigned v) {
    char c[2] = { (char)(v & 255), (char)(v >> 8 & 255) };
    buf_put(out, c, 2);
}

static inline void little_put_u32(struct buf *out, uint32_t v) {
    char c[4] = { (char)(v & 255), (char)(v >> 8 & 255), (char)(v >> 16 & 255), (char)(v >> 24) };
    buf_put(out, c, 4);
}

static inline void little_put_f32(struct buf *out, float f) {
    uint32_t v;
    memcpy(&v, &f, 4);
    little_put_u32(out, v);
}

static inline unsigned little_u16(const void *ptr) {
    const unsigned char *p = ptr;
    return p[0] | (unsigned)p[1] << 8;
}

static inline uint32_t little_u32(const void *ptr) {
    const unsigned char *p = ptr;
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline float little_f32(const void *ptr) {
    uint32_t v = little_u32(ptr);
    float f;
    memcpy(&f, &v, 4);
    return f;
}

#endif
