/* text.c -- CPU time of the text primitives on a context of 10,000 tokens.
 *
 * Prints lines of "name microseconds", read by text.lua.  The texts are made here, the
 * same on every machine: words and characters as frequent as in prose (a few very
 * often, most seldom), sentences of 8 to 24 words, paragraphs, a heading now and then. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "text/dups.h"
#include "text/extract.h"
#include "text/noise.h"
#include "text/sentences.h"
#include "text/spans.h"

#define ROUNDS 201

static uint64_t seed = 88172645463325252u;

static double uniform(void) {
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (double)(seed >> 11) / 9007199254740992.0;
}

/* Of n things, those in front more often. */
static unsigned zipf(unsigned n) { return (unsigned)(exp(uniform() * log(n)) - 1); }

static void put_word(struct buf *out, bool chinese) {
    if (chinese) { /* a word of two characters, of some 3000 */
        for (int i = 0; i < 2; i++) {
            uint32_t c = 0x4E00 + zipf(3000) * 7 % 6000;
            char utf8[3] = { (char)(0xE0 | c >> 12), (char)(0x80 | (c >> 6 & 63)), (char)(0x80 | (c & 63)) };
            buf_put(out, utf8, 3);
        }
        return;
    }
    static const char consonants[] = "tnshrdlcmwfgypbvk", vowels[] = "eaoiu";
    unsigned w = zipf(6000), length = 1 + (w > 20) + (w > 300) + (w > 2000);
    for (unsigned i = 0; i < length; i++, w = w * 31 + 7) {
        buf_putc(out, consonants[w % 17]);
        buf_putc(out, vowels[w / 17 % 5]);
    }
}

static void make_text(struct buf *out, size_t bytes, bool chinese) {
    for (unsigned sentence = 0; out->len < bytes; sentence++) {
        if (sentence % 40 == 0) buf_puts(out, chinese ? "\n## 第一部分\n\n" : "\n## A part of it\n\n");
        unsigned words = 8 + (unsigned)(uniform() * 16);
        for (unsigned i = 0; i < words; i++) {
            if (i > 0 && i % 9 == 0) buf_puts(out, chinese ? "，" : ", ");
            else if (i > 0 && !chinese) buf_putc(out, ' ');
            if (uniform() < 0.03) buf_printf(out, "%u", (unsigned)(uniform() * 5000));
            else put_word(out, chinese);
        }
        buf_puts(out, chinese ? "。" : ". ");
        if (sentence % 6 == 5) buf_puts(out, "\n\n");
    }
}

static double cpu_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

enum what { SPANS, SENTENCES, EXTRACT, EXTRACT_ALONE, DEDUPE, DEDUPE_ALIKE, STRIP, BASE64 };

static void run_once(enum what what, struct slice text, struct slice question, struct buf *a, struct buf *b) {
    struct text_extract_result r;
    struct text_dedupe_result d;
    struct text_dedupe_options alike = { .min_bytes = 40, .likeness = 0.8f };
    size_t count;
    buf_clear(a);
    buf_clear(b);
    switch (what) {
    case SPANS: text_spans(text, TEXT_ALL_TYPES, a); break;
    case SENTENCES:
        text_spans(text, TEXT_ALL_TYPES, a);
        text_sentences(text, a, b);
        break;
    case EXTRACT: text_extract(text, question, NULL, a, NULL, &r); break;
    case EXTRACT_ALONE: text_extract(text, slice_of("", 0), NULL, a, NULL, &r); break;
    case DEDUPE: text_dedupe(text, NULL, a, &d); break;
    case DEDUPE_ALIKE: text_dedupe(text, &alike, a, &d); break;
    case STRIP: text_strip_ansi(text, a); break;
    case BASE64: text_elide_base64(text, 256, a, &count); break;
    }
}

static void measure(const char *name, enum what what, struct slice text, struct slice question) {
    static double took[ROUNDS];
    struct buf a, b;
    buf_init(&a, 0);
    buf_init(&b, 0);
    for (int i = 0; i < ROUNDS; i++) {
        double before = cpu_us();
        run_once(what, text, question, &a, &b);
        took[i] = cpu_us() - before;
    }
    qsort(took, ROUNDS, sizeof(*took), compare);
    printf("%s %.1f\n", name, took[ROUNDS / 2]);
    buf_deinit(&a);
    buf_deinit(&b);
}

int main(void) {
    struct buf en, zh;
    buf_init(&en, 0);
    buf_init(&zh, 0);
    make_text(&en, 40000, false);
    make_text(&zh, 35000, true);
    struct slice english = buf_get(&en), chinese = buf_get(&zh);
    struct slice ask_en = slice_of(english.ptr + 20000, 60), ask_zh = slice_of(chinese.ptr, 0);
    for (size_t at = 17000; ask_zh.len == 0; at++) /* at a character */
        if ((chinese.ptr[at] & 0xC0) != 0x80 && (chinese.ptr[at + 60] & 0xC0) != 0x80)
            ask_zh = slice_of(chinese.ptr + at, 60);
    measure("extract_en", EXTRACT, english, ask_en);
    measure("extract_zh", EXTRACT, chinese, ask_zh);
    measure("central_en", EXTRACT_ALONE, english, ask_en);
    measure("central_zh", EXTRACT_ALONE, chinese, ask_zh);
    measure("spans_en", SPANS, english, ask_en);
    measure("spans_zh", SPANS, chinese, ask_zh);
    measure("sentences_en", SENTENCES, english, ask_en);
    measure("sentences_zh", SENTENCES, chinese, ask_zh);
    measure("dedupe_en", DEDUPE, english, ask_en);
    measure("alike_en", DEDUPE_ALIKE, english, ask_en);
    measure("strip_en", STRIP, english, ask_en);
    measure("base64_en", BASE64, english, ask_en);
    buf_deinit(&en);
    buf_deinit(&zh);
    return 0;
}
