/* grammar_int.h -- what a grammar is for who follows it.  See grammar.c. */
#ifndef PERILUNE_LOCAL_GRAMMAR_INT_H
#define PERILUNE_LOCAL_GRAMMAR_INT_H

#include "local/grammar.h"

/* ORDER: op_names of the tests. */
enum grammar_op {
    GRAMMAR_CHAR,  /* arg: the one character */
    GRAMMAR_CLASS, /* arg: one of these */
    GRAMMAR_SPLIT, /* goes on behind it, and at arg, counted from here */
    GRAMMAR_JUMP,  /* goes on at arg, counted from here */
    GRAMMAR_CALL,  /* arg: a rule */
    GRAMMAR_RET
};

struct grammar_code {
    uint32_t op;
    int32_t  arg;
};

struct grammar_range {
    uint32_t lo, hi;
};

struct grammar {
    unsigned              refs;
    struct grammar_code  *code;
    unsigned              code_len, code_cap;
    struct grammar_range *ranges;       /* of all classes, those of each one in order and apart */
    unsigned              range_len, range_cap;
    struct grammar_class { uint32_t from, len; } *classes;
    unsigned              class_len, class_cap;
    uint32_t             *rules;        /* where each one begins */
    unsigned              rule_len;
    uint32_t             *cuts;         /* characters between two of these are all alike to this grammar */
    unsigned              cut_len;
    uint32_t              ascii[128];   /* grammar_symbol() of them */
    struct states        *states;       /* those that new matchers use; a share; NULL: none yet */
};

/* The kind of a character: 0 ... cut_len; characters of one kind are allowed by the same instructions. */
uint32_t grammar_symbol(const struct grammar *g, uint32_t c);
/* Is one of the characters lo ... hi allowed by this instruction? */
bool     grammar_takes(const struct grammar *g, uint32_t pc, uint32_t lo, uint32_t hi);

void states_put(struct states *s); /* matcher.c; NULL is fine */

#endif
