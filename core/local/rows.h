/* rows.h -- rows of tokens in an engine's memory, and what they share. See rows.c. */
#ifndef PERILUNE_LOCAL_ROWS_H
#define PERILUNE_LOCAL_ROWS_H

#include "base/hash.h"
#include "include/perilune_engine.h"

#define ROW_NONE UINT32_MAX

struct row {
    struct hash128 tenant;
    int32_t       *tokens; /* that are computed */
    uint32_t      *cells;  /* of each: which place it takes */
    uint32_t       len, cap;
    bool           busy;   /* somebody appends to it; else it is kept for who begins alike, or empty */
    uint64_t       used;   /* when it became idle: smaller is longer ago */
};

struct rows {
    const struct perilune_engine *engine;
    struct perilune_engine_model *model;
    struct row *row;
    uint32_t    count, cells, free_len;
    uint32_t   *free_cells; /* a stack */
    uint16_t   *shares;     /* of each cell: rows that have it */
    uint64_t    clock;
    unsigned    useless;    /* rows that were taken since an idle one was last of use */
    bool        apart;      /* facts.apart */
    bool        broken;     /* the engine refused what it must not refuse */
};

int  rows_init(struct rows *r, const struct perilune_engine *engine, struct perilune_engine_model *model);
void rows_deinit(struct rows *r);

static inline uint32_t rows_free_cells(const struct rows *r) { return r->free_len; }
/* Cells that only idle rows have, and those that nobody has. */
uint32_t rows_to_be_had(const struct rows *r);

/* How many of the tokens, counted from the first, two rows have in common. */
uint32_t rows_common(const int32_t *a, uint32_t a_len, const int32_t *b, uint32_t b_len);
/* The row of this tenant that has most of these tokens in front; *len of them.  ROW_NONE: none has any. */
uint32_t rows_match(const struct rows *r, struct hash128 tenant, const int32_t *tokens, uint32_t n, uint32_t *len);
/* The most of these tokens, counted from the first, that an idle row of this tenant has. */
uint32_t rows_kept(const struct rows *r, struct hash128 tenant, const int32_t *tokens, uint32_t n);

/* A row for who begins with these tokens, of which the first *shared are there already.  ROW_NONE: all are busy. */
uint32_t rows_take(struct rows *r, struct hash128 tenant, const int32_t *tokens, uint32_t n, uint32_t *shared);
/* Room for `more` tokens of this row: idle rows go, the oldest first.  False: there is not enough. */
bool     rows_make_room(struct rows *r, uint32_t more);
/* Before a step of several rows: when keeping idle rows was of no use lately, most of them go. */
void     rows_thin(struct rows *r);
/* They were computed: cells are there (rows_make_room).  False: no memory to remember them. */
bool     rows_append(struct rows *r, uint32_t row, const int32_t *tokens, uint32_t n);
bool     rows_reserve(struct rows *r, uint32_t row, uint32_t len);
/* Nobody appends any more.  keep: for who begins alike. */
void     rows_give_back(struct rows *r, uint32_t row, bool keep);
/* All rows are empty: the engine has lost them. */
void     rows_clear(struct rows *r);

#endif
