/* labels.h -- lines that say where the text below them comes from. See labels.c. */
#ifndef PERILUNE_TEXT_LABELS_H
#define PERILUNE_TEXT_LABELS_H

#include <stdbool.h>
#include <stddef.h>

/* p: the first visible character of a line of well-formed text, end: the end of that line. */

/* Bytes of the number that a passage begins with: [3]  【3】  Document 3:  资料3：  0: none. */
size_t text_label_number(const char *p, const char *end);

/* Is the line a field that names a source: "Source: https://...", "标题：..."? */
bool text_label_field(const char *p, const char *end);

/* ... or an element that does: <title>...</title>? */
bool text_label_element(const char *p, const char *end);

#endif
