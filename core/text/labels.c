/* labels.c -- lines that say where the text below them comes from.
 *
 * Retrievers put many passages into one text and say of each what it is, so that an answer
 * can cite it:
 *
 *     [3] The towers stand on ...          Document 3: (Title: Lake Bridge)
 *     Source: https://a.b/c                <source>https://a.b/c</source>
 *
 * Where a sentence of a passage is kept its label must be, too: the sentence would else stand
 * below the label of another passage, and be cited as that one's.
 *
 * Only a few names are labels.  "price: 5" says something itself.
 *
 * Thread: any. */
#include "text/labels.h"

#include <string.h>
#include <strings.h>

#include "text/scan.h"

#define NUMBER_MOST 6  /* digits */
#define NAME_MOST 24   /* bytes */
#define FIELD_MOST 300 /* bytes of a line that is a label */

static const char *const things[] = {
    "document", "doc", "passage", "chunk", "source", "result", "context", "reference", "snippet", "article", "excerpt",
    "文档", "资料", "片段", "段落", "参考", "来源", "材料", "结果",
};

static const char *const names[] = {
    "source", "url", "link", "title", "id", "doc_id", "document_id", "chunk_id", "document", "file", "filename", "path",
    "page", "section", "score", "author", "date", "published", "metadata",
    "来源", "标题", "文件", "文件名", "网址", "链接",
    "编号", "作者", "日期", "文档", "页码", "出处",
};

static bool is_one(const char *const *list, size_t n, const char *p, size_t len) {
    for (size_t i = 0; i < n; i++)
        if (strncasecmp(list[i], p, len) == 0 && list[i][len] == '\0') return true;
    return false;
}

static bool begins(const char *p, const char *end, const char *what) {
    size_t n = strlen(what);
    return (size_t)(end - p) >= n && memcmp(p, what, n) == 0;
}

/* Letters of a name, underscores and Chinese included. */
static const char *name_end(const char *p, const char *end) {
    if (end - p > NAME_MOST) end = p + NAME_MOST;
    for (; p < end; p++) {
        bool wide = (unsigned char)*p >= 0x80;
        if (!wide && !text_is_letter(*p) && *p != '_') break;
        if ((unsigned char)*p == 0xEF && begins(p, end, "：")) break;
    }
    return p;
}

static const char *digits(const char *p, const char *end) {
    const char *q = p;
    while (q < end && text_is_digit(*q)) q++;
    return q > p && q - p <= NUMBER_MOST ? q : NULL;
}

static size_t colon(const char *p, const char *end) {
    if (p < end && *p == ':') return 1;
    return begins(p, end, "：") ? 3 : 0;
}

size_t text_label_number(const char *p, const char *end) {
    const char *q = NULL;
    bool wide = begins(p, end, "【");
    if (p < end && (*p == '[' || wide)) {
        q = digits(p + (wide ? 3 : 1), end);
        if (q == NULL || !begins(q, end, wide ? "】" : "]")) return 0;
        q += wide ? 3 : 1;
        if (q < end && (*q == '(' || *q == '[')) return 0; /* a link */
        return (size_t)(q - p) + colon(q, end);
    }
    const char *name = name_end(p, end), *number = name;
    while (number < end && (*number == ' ' || *number == '#')) number++;
    q = digits(number, end);
    if (q == NULL || !is_one(things, sizeof(things) / sizeof(*things), p, (size_t)(name - p))) return 0;
    if (q < end && (*q == ')' || *q == ']')) q++;
    size_t mark = colon(q, end);
    return mark > 0 || q == end || *q == '\r' ? (size_t)(q - p) + mark : 0;
}

bool text_label_field(const char *p, const char *end) {
    if (end - p > FIELD_MOST) return false;
    const char *q = name_end(p, end);
    size_t n = (size_t)(q - p), mark = colon(q, end);
    if (mark == 0 || !is_one(names, sizeof(names) / sizeof(*names), p, n)) return false;
    q += mark;
    while (q < end && text_is_blank(*q)) q++;
    return q < end;
}

bool text_label_element(const char *p, const char *end) {
    while (end > p && text_is_blank(end[-1])) end--;
    if (end - p < 8 || end - p > FIELD_MOST || *p != '<' || end[-1] != '>') return false;
    const char *q = name_end(p + 1, end);
    size_t n = (size_t)(q - p - 1);
    if (n == 0 || *q != '>' || !is_one(names, sizeof(names) / sizeof(*names), p + 1, n)) return false;
    const char *close = end - n - 3;
    return close > q && begins(close, end, "</") && memcmp(close + 2, p + 1, n) == 0;
}
