/* trim_edges.h -- predicates on the text around a phrase.  Private to trim*.c. */
#ifndef PERILUNE_TEXT_TRIM_EDGES_H
#define PERILUNE_TEXT_TRIM_EDGES_H

#include <stdbool.h>
#include <stddef.h>

static inline bool trim_is_white(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

const char *trim_skip_between(const char *p, const char *end);
const char *trim_without_end(const char *p, const char *end);
bool trim_says_nothing(const char *p, const char *end);
bool trim_is_number(const char *p, const char *q);
bool trim_is_name(const char *p, const char *end);
bool trim_is_title(const char *p, size_t n, const char *end);
bool trim_in_list(const char *colon, const char *comma);
bool trim_is_listed(const char *q, size_t n, size_t lead, const char *stop);
size_t trim_clause_border(const char *p, const char *end);
size_t trim_marker(const char *p, const char *end, bool *numbered);

#endif
