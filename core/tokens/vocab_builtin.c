/* vocab_builtin.c -- the vocabularies inside the program.
 *
 * The build expands core/tokens/vocab/NAME.pairs and puts the result into the program's read-only
 * data (see the Makefile), so that taking one costs no reading: all processes
 * share its pages and only those that are used are ever read.
 *
 * o200k_harmony is o200k_base with other special tokens.  They are few and regular, so
 * they are spelled out here:
 *
 *     names       those with a word
 *     reserved    <|reserved_N|> for the other ids of a range; from some id on also for
 *                 those that have a word (200018 is both of its texts)
 *
 * Thread: any; constants. */
#include <stdio.h>

#include "base/mem.h"
#include "include/perilune.h"
#include "tokens/special_tokens.h"
#include "tokens/vocab_int.h"

extern const unsigned char vocab_cl100k_base[], vocab_cl100k_base_end[];
extern const unsigned char vocab_o200k_base[], vocab_o200k_base_end[];

struct special {
    uint32_t    id;
    const char *text;
};

static const struct special cl100k_specials[] = {
    { 100257, "<|endoftext|>" },  { 100258, "<|fim_prefix|>" },  { 100259, "<|fim_middle|>" },
    { 100260, "<|fim_suffix|>" }, { 100276, "<|endofprompt|>" }, { 0, NULL },
};
static const struct special o200k_specials[] = {
    { 199999, "<|endoftext|>" },
    { 200018, "<|endofprompt|>" },
    { 0, NULL },
};
static const struct special harmony_specials[] = {
    { 199998, "<|startoftext|>" }, { 199999, "<|endoftext|>" }, { 200002, "<|return|>" },
    { 200003, "<|constrain|>" },   { 200005, "<|channel|>" },   { 200006, "<|start|>" },
    { 200007, "<|end|>" },         { 200008, "<|message|>" },   { 200012, "<|call|>" },
    { 200018, "<|endofprompt|>" }, { 0, NULL },
};

static const struct builtin {
    const char *name;
    const unsigned char *begin, *end;
    const struct special *specials;
    uint32_t reserved_first, reserved_all, reserved_end; /* ids */
} builtins[] = {
    { "cl100k_base", vocab_cl100k_base, vocab_cl100k_base_end, cl100k_specials, 0, 0, 0 },
    { "o200k_base", vocab_o200k_base, vocab_o200k_base_end, o200k_specials, 0, 0, 0 },
    { "o200k_harmony", vocab_o200k_base, vocab_o200k_base_end, harmony_specials, 200000, 200013, 201088 },
};

#define TEXT_SIZE 32 /* the longest has 21 bytes */

/* Spells out the added tokens, by id. */
static int add_specials(struct vocab *v, const struct builtin *b) {
    uint32_t n = b->reserved_end - b->reserved_first + 16, k = 0;
    v->own_added = mem_zalloc(n * sizeof(*v->own_added));
    v->own_texts = mem_zalloc(n * TEXT_SIZE);
    if (v->own_added == NULL || v->own_texts == NULL) return PERILUNE_ERR_NOMEM;
    const struct special *s = b->specials;
    uint32_t r = b->reserved_first;
    while (s->text != NULL || r < b->reserved_end) {
        char *text = v->own_texts + k * TEXT_SIZE;
        bool named = s->text != NULL && (r >= b->reserved_end || s->id <= r);
        uint32_t id = named ? s->id : r;
        int len = named ? snprintf(text, TEXT_SIZE, "%s", s->text)
                        : snprintf(text, TEXT_SIZE, "<|reserved_%u|>", r);
        if (named) s++;
        if (id == r && r < b->reserved_end && (!named || r < b->reserved_all)) r++;
        v->own_added[k] = (struct vocab_added){ id, TOKEN_SPECIAL, k * TEXT_SIZE, (uint32_t)len };
        k++;
    }
    v->special_tokens_list = v->own_added;
    v->texts = v->own_texts;
    v->n_added = k;
    return 0;
}

struct vocab *vocab_builtin(struct slice name) {
    const struct builtin *b = NULL;
    for (size_t i = 0; i < sizeof(builtins) / sizeof(*builtins); i++)
        if (slice_eq(slice_str(builtins[i].name), name)) b = &builtins[i];
    if (b == NULL) return NULL;
    struct vocab *v = mem_zalloc(sizeof(*v));
    if (v == NULL) return NULL;
    v->refs = 1;
    if (vocab_attach(v, b->begin, (size_t)(b->end - b->begin), true) != NULL || add_specials(v, b) != 0 ||
        special_tokens_new(v, &v->added) != 0) {
        vocab_put(v);
        return NULL;
    }
    slice_copy(v->name, sizeof(v->name), slice_str(b->name));
    return v;
}

const char *vocab_builtin_name(unsigned i) {
    return i < sizeof(builtins) / sizeof(*builtins) ? builtins[i].name : NULL;
}
