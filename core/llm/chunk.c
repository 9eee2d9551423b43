/* chunk.c -- what one event of a stream of OpenAI's chat says.
 *
 * Most events bring a few letters of text and nothing else.  chunk_look() goes over
 * the bytes of each event once, sixteen at a time, and stops only at quotation marks
 * before a letter that one of four words begins with:
 *
 *     "usage"            cut out, unless the client asked for it
 *     "error"            maybe the end of everything
 *     "finish_reason"    with a reason: a choice ends.  null, "" and "null" are none:
 *                        SGLang, Ollama and KoboldCpp send those in every chunk
 *     "index"            not 0: a second choice, or a second call of a tool
 *
 * Only an event that has one of them is parsed, or one without choices: it may be an error that does not call itself
 * one.  A quotation mark inside of a string is escaped, so what looks like a key is one, at whatever depth: the parsed
 * document decides what it means.
 *
 * Usage decides what is paid and what limits count, so it is believed only when it makes sense: numbers that cannot be
 * are none, and then whoever counts goes by what came.
 *
 * Choices are told apart by their index.  A stream is complete when as many have
 * ended as were asked for, or came. */
#include "llm/chunk.h"

#include "llm/openai.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* -- Looking ------------------------------------------------------------------------ */

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

static struct slice value_after(const char *p, const char *stop) {
    while (p < stop && (*p == ':' || is_space(*p))) p++;
    return slice_of(p, (size_t)(stop - p));
}

static bool is_reason(struct slice value) {
    return value.len > 1 && value.ptr[0] == '"' && value.ptr[1] != '"' && !slice_starts(value, SLICE("\"null\""));
}

/* p is at a quotation mark. */
static unsigned look_at(const char *p, const char *stop) {
    struct slice s = slice_of(p, (size_t)(stop - p));
    if (slice_starts(s, SLICE("\"usage\""))) return CHUNK_USAGE;
    if (slice_starts(s, SLICE("\"error\""))) return CHUNK_ERROR;
    if (slice_starts(s, SLICE("\"finish_reason\""))) return is_reason(value_after(p + 15, stop)) ? CHUNK_FINISH : 0;
    if (slice_starts(s, SLICE("\"index\""))) {
        struct slice v = value_after(p + 7, stop);
        return v.len > 0 && v.ptr[0] == '0' ? 0 : CHUNK_INDEX;
    }
    return 0;
}

unsigned chunk_look(struct slice data) {
    const char *p = data.ptr, *stop = p + data.len;
    unsigned found = 0;
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"'), u = _mm_set1_epi8('u'), e = _mm_set1_epi8('e'), f = _mm_set1_epi8('f'),
                  i = _mm_set1_epi8('i');
    for (; stop - p >= 17; p += 16) {
        __m128i here = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i next = _mm_loadu_si128((const __m128i *)(const void *)(p + 1));
        __m128i letter = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(next, u), _mm_cmpeq_epi8(next, e)),
                                      _mm_or_si128(_mm_cmpeq_epi8(next, f), _mm_cmpeq_epi8(next, i)));
        unsigned at = (unsigned)_mm_movemask_epi8(_mm_and_si128(_mm_cmpeq_epi8(here, quote), letter));
        for (; at != 0; at &= at - 1) found |= look_at(p + __builtin_ctz(at), stop);
    }
#endif
    while (p < stop && (p = memchr(p, '"', (size_t)(stop - p))) != NULL) found |= look_at(p++, stop);
    return found;
}

/* Those of most servers begin with an id, which those without choices seldom have: the rest of the text, where the
 * choices stand, need not be looked at then. */
bool chunk_lacks_choices(struct slice data) {
    static const struct slice id = SLICE("{\"id\":\""), choices = SLICE("\"choices\"");
    if (slice_starts(data, id) || data.len == 0 || data.ptr[0] != '{') return false;
    return memmem(data.ptr, data.len, choices.ptr, choices.len) == NULL;
}

/* -- Choices ------------------------------------------------------------------------ */

static uint32_t member(const struct json_doc *d, const char *key) {
    return json_is(d, 0, JSON_OBJECT) ? json_get(d, 0, slice_str(key)) : JSON_NONE;
}

static void set_bit(uint64_t bits[2], uint64_t at) { bits[at / 64] |= (uint64_t)1 << (at % 64); }

/* Is there anything in it: a letter, an element, a member? */
static bool is_something(const struct json_doc *d, uint32_t n) {
    switch (json_type(d, n)) {
    case JSON_STRING: return json_raw(d, n).len > 2;
    case JSON_ARRAY: case JSON_OBJECT: return d->nodes[n].count > 0;
    default: return json_type(d, n) != JSON_NULL;
    }
}

/* Does the choice say something, in whatever member its server has for it, but for who says it? */
static bool says(const struct json_doc *d, uint32_t choice) {
    static const struct slice names[] = { SLICE("message"), SLICE("delta") };
    uint32_t text = json_get(d, choice, SLICE("text"));
    bool found = text != JSON_NONE && is_something(d, text);
    for (size_t i = 0; i < sizeof(names) / sizeof(*names) && !found; i++) {
        uint32_t said = json_get(d, choice, names[i]);
        if (!json_is(d, said, JSON_OBJECT)) continue;
        for (uint32_t key = json_first(d, said); key != JSON_NONE && !found;) {
            uint32_t value = json_next(d, said, key);
            found = !json_str_eq(d, key, SLICE("role")) && is_something(d, value);
            key = json_next(d, said, value);
        }
    }
    return found;
}

void chunk_count(struct chunk_choices *c, const struct json_doc *d) {
    uint32_t choices = member(d, "choices");
    uint64_t place = 0;
    if (!json_is(d, choices, JSON_ARRAY)) return;
    for (uint32_t n = json_first(d, choices); n != JSON_NONE; n = json_next(d, choices, n), place++) {
        if (!json_is(d, n, JSON_OBJECT)) continue;
        uint64_t at = place;
        uint32_t index = json_get(d, n, SLICE("index")), reason = json_get(d, n, SLICE("finish_reason"));
        if (json_is(d, index, JSON_NUMBER)) json_u64(d, index, &at);
        if (at > 127) at = 127; /* OpenAI's most is 128 */
        set_bit(c->seen, at);
        if (says(d, n)) set_bit(c->said, at);
        if (json_is(d, reason, JSON_STRING) && is_reason(json_raw(d, reason))) set_bit(c->ended, at);
    }
}

static unsigned count_bits(const uint64_t bits[2]) {
    return (unsigned)(__builtin_popcountll(bits[0]) + __builtin_popcountll(bits[1]));
}

bool chunk_is_complete(const struct chunk_choices *c) {
    unsigned ended = count_bits(c->ended);
    return ended > 0 && ended >= count_bits(c->seen) && ended >= c->asked;
}

bool chunk_is_empty(const struct chunk_choices *c) {
    return (c->ended[0] & ~c->said[0]) != 0 || (c->ended[1] & ~c->said[1]) != 0;
}

bool chunk_has_no_choices(const struct json_doc *d) {
    uint32_t c = member(d, "choices");
    return c == JSON_NONE || json_type(d, c) == JSON_NULL || (json_type(d, c) == JSON_ARRAY && d->nodes[c].count == 0);
}

/* -- Usage -------------------------------------------------------------------------- */

/* A count of tokens; 0 when it is not said.  False: it cannot be one. */
static bool read_count(const struct json_doc *d, uint32_t object, struct slice key, uint64_t *out) {
    uint32_t n = json_get(d, object, key);
    *out = 0;
    if (n == JSON_NONE || json_type(d, n) == JSON_NULL) return true;
    return json_u64(d, n, out) == 0 && *out <= CHUNK_TOKENS;
}

/* What a cache of the upstream had; what makes no sense is no discount. */
static uint64_t cached_of(const struct json_doc *d, uint32_t usage) {
    uint32_t details = json_get(d, usage, SLICE("prompt_tokens_details"));
    /* What DeepSeek and gateways in front of Anthropic call it. */
    static const struct slice names[] = { SLICE("prompt_cache_hit_tokens"), SLICE("cache_read_input_tokens") };
    uint64_t n = 0;
    if (json_is(d, details, JSON_OBJECT) && !read_count(d, details, SLICE("cached_tokens"), &n)) n = 0;
    for (size_t i = 0; i < sizeof(names) / sizeof(*names) && n == 0; i++)
        if (!read_count(d, usage, names[i], &n)) n = 0;
    return n;
}

/* What makes no sense is not told. */
static void read_details(const struct json_doc *d, uint32_t usage, struct usage *out) {
    for (unsigned i = 0; i < USAGE_DETAIL_COUNT; i++) {
        struct slice name = openai_usage_details[i].name;
        uint32_t object = json_get(d, usage, openai_usage_details[i].object);
        uint64_t n;
        if (!json_is(d, object, JSON_OBJECT) || !json_is(d, json_get(d, object, name), JSON_NUMBER)) continue;
        if (!read_count(d, object, name, &n)) continue;
        out->details[i] = n;
        out->detailed |= 1u << i;
    }
}

bool chunk_usage(const struct json_doc *d, struct usage *out) {
    uint32_t u = member(d, "usage");
    struct usage said = { .senseless = true, .said = out->said };
    if (u == JSON_NONE || json_type(d, u) == JSON_NULL) return false;
    *out = said;
    if (!json_is(d, u, JSON_OBJECT) || !read_count(d, u, SLICE("prompt_tokens"), &said.prompt) ||
        !read_count(d, u, SLICE("completion_tokens"), &said.completion) || said.prompt + said.completion == 0)
        return true;
    said.known = true;
    said.senseless = false;
    said.cached = cached_of(d, u);
    read_details(d, u, &said);
    *out = said;
    return true;
}

#define TOKEN_BYTES 4 /* of JSON: English; a Chinese character has three, or six as an escape, and is a token or less */

/* All strings within n, which may be one. */
static uint64_t text_bytes(const struct json_doc *d, uint32_t n) {
    uint64_t bytes = 0;
    for (uint32_t i = n; i < d->nodes[n].next; i++)
        if (json_type(d, i) == JSON_STRING) bytes += json_raw(d, i).len - 2;
    return bytes;
}

/* Of a message, or a piece of one. */
static uint64_t message_bytes(const struct json_doc *d, uint32_t message) {
    static const struct slice said[] = { SLICE("content"), SLICE("reasoning_content"), SLICE("reasoning"),
                                         SLICE("refusal"), SLICE("tool_calls"), SLICE("function_call") };
    uint64_t bytes = 0;
    for (size_t i = 0; json_is(d, message, JSON_OBJECT) && i < sizeof(said) / sizeof(*said); i++) {
        uint32_t value = json_get(d, message, said[i]);
        if (value != JSON_NONE) bytes += text_bytes(d, value);
    }
    return bytes;
}

uint64_t chunk_estimate(const struct json_doc *d) {
    uint32_t choices = member(d, "choices");
    uint64_t bytes = 0;
    if (!json_is(d, choices, JSON_ARRAY)) return 0;
    for (uint32_t n = json_first(d, choices); n != JSON_NONE; n = json_next(d, choices, n)) {
        if (!json_is(d, n, JSON_OBJECT)) continue;
        uint32_t text = json_get(d, n, SLICE("text"));
        if (text != JSON_NONE) bytes += text_bytes(d, text);
        bytes += message_bytes(d, json_get(d, n, SLICE("message"))) + message_bytes(d, json_get(d, n, SLICE("delta")));
    }
    return (bytes + TOKEN_BYTES - 1) / TOKEN_BYTES;
}

/* All other members, each with the comma and the white space in front of it; the first that
 * stays, without. */
void chunk_without_usage(const struct json_doc *d, struct buf *out) {
    const char *text = d->text.ptr;
    size_t from = d->nodes[0].start + 1; /* what comes next is not copied yet */
    size_t begin = buf_len(out);
    bool first = true, cut = false;
    buf_put(out, text, from);
    for (uint32_t key = json_first(d, 0); key != JSON_NONE;) {
        uint32_t value = json_next(d, 0, key);
        size_t end = d->nodes[value].end;
        if (json_str_eq(d, key, SLICE("usage"))) {
            cut = true;
        } else {
            if (first && cut) from = d->nodes[key].start;
            buf_put(out, text + from, end - from);
            first = false;
        }
        from = end;
        key = json_next(d, 0, value);
    }
    buf_put(out, text + from, d->text.len - from);
    /* Data of several lines: JSON has line ends as white space only. */
    for (size_t i = begin; i < buf_len(out); i++)
        if (out->data[out->mark + i] == '\n') out->data[out->mark + i] = ' ';
}
