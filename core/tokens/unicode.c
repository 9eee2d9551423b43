/* unicode.c -- the table behind unicode.h.
 *
 * Tokenizers cut text by regular expressions over Unicode categories, so counting
 * exactly means knowing the categories that their engines know.  A trie of three
 * steps holds them: common scripts share a few blocks that stay in the first cache.
 *
 *     code point   iiiiiiiii jjjjjj kkkkkk
 *     unicode_top[i] -> unicode_middle[.. j] -> unicode_leaf[.. k]
 *
 * unicode_data.h is written by core/tokens/vocab/unicode.lua, which says from what.
 *
 * Thread: any; constants. */
#include "tokens/unicode.h"

#include "tokens/unicode_data.h"

const unsigned char unicode_ascii[128] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 6, 7, 6, 6, 7, 0, 0, /* controls: \t \n \v \f \r */
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    6, 8, 8, 8, 9, 8, 8, 8, 8, 8, 8, 9, 8, 8, 8, 8, /*  !"#$%&'()*+,-./ */
    5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 8, 8, 9, 9, 9, 8, /* 0..9 :;<=>? */
    8, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, /* @ A.. */
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 8, 8, 8, 9, 8, /* ..Z [\]^_ */
    9, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, /* ` a.. */
    2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 8, 9, 8, 9, 0, /* ..z {|}~ */
};
