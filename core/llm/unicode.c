/* unicode.c -- the table behind unicode.h.
 *
 * Tokenizers cut text by regular expressions over Unicode categories, so counting
 * exactly means knowing the categories that their engines know.  A trie of three
 * steps holds them: common scripts share a few blocks that stay in the first cache.
 *
 *     code point   iiiiiiiii jjjjjj kkkkkk
 *     unicode_top[i] -> unicode_middle[.. j] -> unicode_leaf[.. k]
 *
 * unicode_data.h is written by data/unicode.lua, which says from what.
 *
 * Thread: any; constants. */
#include "llm/unicode.h"

#include "llm/unicode_data.h"
