/* words.h -- small word lists, English and Chinese. See words.c. */
#ifndef PERILUNE_TEXT_WORDS_H
#define PERILUNE_TEXT_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Each takes an English word of ASCII letters, in any case. */
#define TEXT_WORD_PLAIN UINT32_MAX
/* TEXT_NEGATION, TEXT_QUANTIFIER, TEXT_MODAL, or TEXT_WORD_PLAIN. */
unsigned text_word_polarity(const char *word, size_t len);
bool text_word_is_unit(const char *word, size_t len);         /* of a number: ms, percent */
bool text_word_is_abbreviation(const char *word, size_t len); /* a period behind it ends nothing */
bool text_word_is_question(const char *word, size_t len);     /* says nothing about the topic */
bool text_word_is_dependent(const char *word, size_t len);    /* needs the sentence before it */

/* The same for the Chinese character c at p, of the text [begin, end): the polarity of
 * the longest word that begins there, *len its bytes. */
unsigned text_zh_polarity(uint32_t c, const char *p, const char *begin, const char *end, size_t *len);
/* May a word of text_zh_polarity() or a numeral begin with c?  Most characters say no. */
extern const uint64_t text_zh_firsts[]; /* a bit for each character from 0x4E00 on */
static inline bool text_zh_is_han(uint32_t c) { return c - 0x4E00 <= 0x9FFF - 0x4E00; }
static inline bool text_zh_matters(uint32_t c) {
    return text_zh_is_han(c) && (text_zh_firsts[(c - 0x4E00) >> 6] >> (c & 63) & 1) != 0;
}
/* Does a unit of measure (年 元 公里) begin at p with the character c?  Its bytes, or 0. */
size_t text_zh_unit(uint32_t c, const char *p, const char *end);
bool   text_zh_is_numeral(uint32_t c); /* 〇 to 九, 十 百 千 万 亿 两 */
/* Two neighbours that only ask: 什么 怎么 请问 ... */
bool text_zh_is_question(uint32_t a, uint32_t b);
/* Does a sentence that begins at p need the one before it? */
bool text_zh_is_dependent(const char *p, const char *end);

#endif
