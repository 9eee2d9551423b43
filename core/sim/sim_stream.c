/* sim_stream.c -- says an answer, token by token.
 *
 *      DELAY --due--> HEAD ------> TOKENS --all said--> END --> (finished)
 *                       |            |  ^
 *                       |            +--+ a token whenever one is due
 *                       +-- FIXED: the body as it is
 *      at any count of tokens: cut, stall, malformed chunk, error event
 *
 * One pump for all three kinds of answers.  STREAM says events; WHOLE says the
 * same tokens inside one JSON body, after having waited as long as a stream would
 * have taken; FIXED has its body in a->prefix.  Text is kept JSON-escaped, and
 * tokens are slices of it, so that nothing is escaped twice.
 *
 * The pump fills the server's scratch buffer up to SIM_BATCH and sends that; it
 * stops when nothing is due, when the socket is behind (sim_conn_is_behind), or
 * after a few batches, so that an endless stream shares the loop. */
#include "base/mem.h"
#include "perilune.h"
#include "sim/sim_int.h"

#define BATCHES_PER_TURN 4     /* then other streams have their turn */
#define FILLER_PIECE     4096u /* bytes of one token when `bytes` asks for many */

static const char *const words[] = {
    "The ",    "moon ",  "rises ",  "over ",   "a ",      "quiet ", "sea ",    "and ",
    "every ",  "wave ",  "carries ","its ",    "light ",  "to ",    "shore. ", "Near ",
    "lunar ",  "orbit ", "begins ", "where ",  "gravity ","bends ", "paths ",  "into ",
    "circles ","of ",    "stone. ", "Far ",    "below, ", "dust ",  "keeps ",  "silent. ",
};
#define WORD_COUNT (sizeof(words) / sizeof(words[0]))

enum step { STEP_WAIT, STEP_FULL, STEP_DONE, STEP_CUT, STEP_STALL };

void sim_answer_free(struct sim_answer *a) {
    if (a == NULL) return;
    buf_deinit(&a->prefix);
    buf_deinit(&a->text);
    buf_deinit(&a->tool);
    buf_deinit(&a->hashes);
    mem_free(a);
}

/* -- Tokens ---------------------------------------------------------------------- */

/* Length of the JSON-escaped character at s: an escape is never cut. */
static size_t char_len(struct slice s) {
    unsigned char ch = (unsigned char)s.ptr[0];
    size_t        n = 1;
    if (ch == '\\') n = s.len > 1 && s.ptr[1] == 'u' ? 6 : 2;
    else if (ch >= 0xF0) n = 4;
    else if (ch >= 0xE0) n = 3;
    else if (ch >= 0xC0) n = 2;
    return n < s.len ? n : s.len;
}

/* A word with its space, or two dozen bytes of something that has none. */
static size_t piece_len(struct slice s) {
    size_t n = 0;
    while (n < s.len && n < 24) {
        bool space = s.ptr[n] == ' ';
        n += char_len(slice_of(s.ptr + n, s.len - n));
        if (space && (n == s.len || s.ptr[n] != ' ')) break;
    }
    return n;
}

static struct slice text_rest(const struct sim_answer *a) {
    struct slice all = buf_get(&a->text);
    return slice_of(all.ptr + a->text_at, all.len - a->text_at);
}

void sim_answer_measure(struct sim_answer *a) {
    if (buf_len(&a->text) > 0) {
        a->total = 0;
        for (struct slice s = buf_get(&a->text); s.len > 0; a->total++) {
            size_t n = piece_len(s);
            s.ptr += n;
            s.len -= n;
        }
    } else if (a->opt.bytes > 0) {
        a->total = ((uint64_t)a->opt.bytes + FILLER_PIECE - 1) / FILLER_PIECE;
    }
}

static void put_filler(struct buf *out, size_t len) {
    char *p = buf_reserve(out, len);
    if (p == NULL) return;
    memset(p, 'x', len);
    buf_advance(out, len);
}

/* Appends the text of the next token and counts it. */
static void put_token_text(struct sim_answer *a, struct buf *out) {
    if (buf_len(&a->text) > 0) {
        struct slice rest = text_rest(a);
        size_t       n = piece_len(rest);
        buf_put(out, rest.ptr, n);
        a->text_at += n;
        if (a->opt.endless && a->text_at == buf_len(&a->text)) a->text_at = 0;
    } else if (a->opt.bytes > 0) {
        uint64_t left = (uint64_t)a->opt.bytes - a->next * FILLER_PIECE;
        bool     last = !a->opt.endless && left < FILLER_PIECE;
        put_filler(out, last ? (size_t)left : FILLER_PIECE);
    } else {
        buf_puts(out, words[a->next % WORD_COUNT]);
    }
    a->next++;
}

/* Bytes that put_token_text() will append for all of the answer. */
static uint64_t text_len(const struct sim_answer *a) {
    if (buf_len(&a->text) > 0) {
        struct slice all = buf_get(&a->text);
        uint64_t     len = 0;
        for (uint64_t i = 0; i < a->total; i++) {
            len += piece_len(slice_of(all.ptr + len, all.len - len));
        }
        return len;
    }
    if (a->opt.bytes > 0) {
        uint64_t most = a->total * FILLER_PIECE; /* max_tokens may allow less */
        return (uint64_t)a->opt.bytes < most ? (uint64_t)a->opt.bytes : most;
    }
    uint64_t cycle = 0, rest = 0;
    for (size_t i = 0; i < WORD_COUNT; i++) {
        cycle += strlen(words[i]);
        if (i < a->total % WORD_COUNT) rest += strlen(words[i]);
    }
    return a->total / WORD_COUNT * cycle + rest;
}

static bool is_tool_call(const struct sim_answer *a) { return buf_len(&a->tool) > 0; }

/* -- Framing --------------------------------------------------------------------- */

static void put_hex(struct buf *out, size_t v) {
    char   tmp[16];
    size_t i = sizeof(tmp);
    do {
        tmp[--i] = "0123456789abcdef"[v & 15];
        v >>= 4;
    } while (v > 0);
    buf_put(out, tmp + i, sizeof(tmp) - i);
}

static void put_framed(const struct sim_answer *a, struct buf *out, struct slice s) {
    if (s.len == 0) return; /* an empty chunk would be the last one */
    if (a->framing != SIM_BY_CHUNKS) {
        buf_slice(out, s);
        return;
    }
    put_hex(out, s.len);
    buf_put(out, "\r\n", 2);
    buf_slice(out, s);
    buf_put(out, "\r\n", 2);
}

static const char *eol(const struct sim_answer *a) { return a->opt.crlf ? "\r\n" : "\n"; }

/* Closes the event that was built in ev and frames it. */
static void put_event(const struct sim_answer *a, struct buf *out, struct buf *ev) {
    buf_puts(ev, eol(a));
    buf_puts(ev, eol(a));
    put_framed(a, out, buf_get(ev));
}

static void put_usage(const struct sim_answer *a, struct buf *out) {
    buf_puts(out, "\"usage\":{\"prompt_tokens\":");
    buf_u64(out, a->prompt_tokens);
    buf_puts(out, ",\"completion_tokens\":");
    buf_u64(out, a->next * a->choices);
    buf_puts(out, ",\"total_tokens\":");
    buf_u64(out, a->prompt_tokens + a->next * a->choices);
    if (a->opt.prefix_cache) {
        buf_puts(out, ",\"prompt_tokens_details\":{\"cached_tokens\":");
        buf_u64(out, a->cached_tokens);
        buf_putc(out, '}');
    }
    buf_putc(out, '}');
}

static const char *finish_reason(const struct sim_answer *a) {
    return is_tool_call(a) ? "tool_calls" : a->cut_short ? "length" : "stop";
}

/* -- The head ---------------------------------------------------------------------- */

static const char *reason(int status) {
    switch (status) {
    case 200: return "OK";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    default: return "Simulated";
    }
}

void sim_put_choice(const struct sim_answer *a, uint64_t index, struct buf *out) {
    buf_puts(out, "{\"index\":");
    buf_u64(out, index);
    buf_puts(out, ",\"message\":{\"role\":\"assistant\",\"content\":");
    buf_puts(out, is_tool_call(a) ? "null,\"tool_calls\":[{" : "\"");
    buf_slice(out, buf_get(&a->tool));
}

static void put_choice_end(const struct sim_answer *a, struct buf *out) {
    buf_puts(out, is_tool_call(a) ? "\"}}]}" : "\"}");
    buf_puts(out, ",\"logprobs\":null,\"finish_reason\":\"");
    buf_puts(out, finish_reason(a));
    buf_puts(out, "\"}");
}

/* What was said so far, once more. */
static void put_text_again(const struct sim_answer *a, struct buf *out) {
    struct sim_answer again = *a; /* BORROWS its texts */
    again.text_at = 0;
    for (again.next = 0; again.next < a->next;) put_token_text(&again, out);
}

/* What ends the body of a WHOLE answer: its further choices, too. */
static void put_whole_end(const struct sim_answer *a, struct buf *out) {
    if (a->opt.bad_json) return;
    put_choice_end(a, out);
    for (uint64_t k = 1; k < a->choices; k++) {
        buf_putc(out, ',');
        sim_put_choice(a, k, out);
        put_text_again(a, out);
        put_choice_end(a, out);
    }
    buf_puts(out, "],");
    put_usage(a, out);
    buf_putc(out, '}');
}

static uint64_t body_len(struct sim_answer *a, struct buf *tmp) {
    if (a->kind == SIM_FIXED) return buf_len(&a->prefix);
    /* The usage in the end counts what will have been said. */
    uint64_t next = a->next;
    buf_clear(tmp);
    a->next = a->total;
    put_whole_end(a, tmp);
    a->next = next;
    return buf_len(&a->prefix) + text_len(a) + buf_len(tmp);
}

static void put_head(struct sim_conn *c, struct sim_answer *a, struct buf *out) {
    bool events = a->kind == SIM_STREAM;
    buf_puts(out, "HTTP/1.1 ");
    buf_u64(out, (uint64_t)a->status);
    buf_putc(out, ' ');
    buf_puts(out, reason(a->status));
    buf_puts(out, events ? "\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
                         : "\r\nContent-Type: application/json\r\n");
    if (a->status != 200 && a->opt.retry_after >= 0) {
        buf_puts(out, "Retry-After: ");
        buf_u64(out, (uint64_t)a->opt.retry_after);
        buf_puts(out, "\r\n");
    }
    if (a->framing == SIM_BY_CHUNKS) buf_puts(out, "Transfer-Encoding: chunked\r\n");
    if (a->framing == SIM_BY_LENGTH) {
        buf_puts(out, "Content-Length: ");
        buf_u64(out, body_len(a, &c->sim->tmp));
        buf_puts(out, "\r\n");
    }
    if (c->close_after) buf_puts(out, "Connection: close\r\n");
    buf_puts(out, "\r\n");
}

/* -- Steps ------------------------------------------------------------------------- */

static uint64_t jittered_us(struct sim_conn *c, const struct sim_answer *a, double ms) {
    double f = 1;
    if (a->opt.jitter > 0) f += a->opt.jitter * (2 * rng_double(&c->sim->rng) - 1);
    return (uint64_t)(ms * 1000 * f);
}

/* How the prefix of a stream's events ends. */
static const char choice_head[] = "[{\"index\":0,\"delta\":{";

/* The event whose end is in sim->tmp, once for each choice. */
static void put_to_choices(struct sim_conn *c, const struct sim_answer *a, struct buf *out) {
    struct slice p = buf_get(&a->prefix);
    size_t       at = p.len - (sizeof(choice_head) - 1) + (sizeof("[{\"index\":") - 1);
    struct buf  *ev = &c->sim->event;
    for (uint64_t k = 0; k < a->choices; k++) {
        buf_clear(ev);
        buf_put(ev, p.ptr, at);
        buf_u64(ev, k);
        buf_put(ev, p.ptr + at + 1, p.len - at - 1); /* behind the 0 */
        buf_slice(ev, buf_get(&c->sim->tmp));
        put_event(a, out, ev);
    }
}

static void put_stream_token(struct sim_conn *c, struct sim_answer *a, struct buf *out) {
    struct buf *ev = &c->sim->event;
    bool        first = a->next == 0;
    if (a->opt.comments) {
        buf_clear(ev);
        buf_puts(ev, ": ping");
        put_event(a, out, ev);
    }
    struct buf *rest = &c->sim->tmp;
    buf_clear(rest);
    if (first) buf_puts(rest, "\"role\":\"assistant\",");
    if (is_tool_call(a)) {
        buf_puts(rest, first ? "\"content\":null,\"tool_calls\":[{\"index\":0," :
                               "\"tool_calls\":[{\"index\":0,");
        if (first) buf_slice(rest, buf_get(&a->tool));
        else buf_puts(rest, "\"function\":{\"arguments\":\"");
    } else {
        buf_puts(rest, "\"content\":\"");
    }
    put_token_text(a, rest);
    buf_puts(rest, is_tool_call(a) ? "\"}}]" : "\"");
    if (!a->opt.bad_json) buf_puts(rest, "},\"logprobs\":null,\"finish_reason\":null}]}");
    put_to_choices(c, a, out);
}

static void put_stream_end(struct sim_conn *c, struct sim_answer *a, struct buf *out) {
    struct buf *ev = &c->sim->event, *rest = &c->sim->tmp;
    buf_clear(rest);
    buf_puts(rest, "},\"logprobs\":null,\"finish_reason\":\"");
    buf_puts(rest, finish_reason(a));
    buf_puts(rest, "\"}]}");
    put_to_choices(c, a, out);
    if (a->usage) {
        /* The prefix up to its choices, which are empty here. */
        struct slice p = buf_get(&a->prefix);
        buf_clear(ev);
        buf_put(ev, p.ptr, p.len - (sizeof(choice_head) - 1));
        buf_puts(ev, "[],");
        put_usage(a, ev);
        buf_putc(ev, '}');
        put_event(a, out, ev);
    }
    if (a->opt.no_done) return;
    buf_clear(ev);
    buf_puts(ev, "data: [DONE]");
    put_event(a, out, ev);
}

static void put_error_event(struct sim_conn *c, struct sim_answer *a, struct buf *out) {
    struct buf *ev = &c->sim->event;
    buf_clear(ev);
    buf_puts(ev, "data: {\"error\":{\"message\":\"The simulated server had an error while "
                 "answering.\",\"type\":\"server_error\",\"param\":null,\"code\":null}}");
    put_event(a, out, ev);
}

static enum step put_end(struct sim_answer *a, struct buf *out) {
    if (a->framing == SIM_BY_CHUNKS) buf_puts(out, "0\r\n\r\n");
    return STEP_DONE;
}

static bool is_at(const struct sim_answer *a, long after) {
    return after >= 0 && a->next == (uint64_t)after;
}

/* A body that does not come in tokens breaks, if at all, in its middle. */
static enum step say_fixed(struct sim_answer *a, struct buf *out) {
    const struct sim_options *o = &a->opt;
    struct slice              body = buf_get(&a->prefix);
    bool broken = o->cut >= 0 || o->stall >= 0 || o->malformed >= 0;
    put_framed(a, out, slice_of(body.ptr, broken ? body.len / 2 : body.len));
    if (o->malformed >= 0) buf_puts(out, "zz\r\n");
    if (o->stall >= 0) return STEP_STALL;
    return broken ? STEP_CUT : put_end(a, out);
}

static enum step say_head(struct sim_conn *c, struct sim_answer *a, struct buf *out) {
    put_head(c, a, out);
    if (a->head_only) return STEP_DONE;
    if (a->kind == SIM_FIXED) return say_fixed(a, out);
    if (a->kind == SIM_WHOLE) put_framed(a, out, buf_get(&a->prefix));
    if (a->kind == SIM_STREAM) a->due_us += jittered_us(c, a, a->opt.ttft_ms);
    a->phase = SIM_PHASE_TOKENS;
    return STEP_WAIT;
}

static enum step say_token(struct sim_conn *c, struct sim_answer *a, struct buf *out) {
    if (a->next == 0) sim_prefix_keep(&c->sim->prefixes, &a->hashes);
    if (is_at(a, a->opt.stall)) return STEP_STALL;
    if (is_at(a, a->opt.cut)) return STEP_CUT;
    if (is_at(a, a->opt.malformed)) {
        buf_puts(out, "zz\r\n");
        return STEP_CUT;
    }
    if (a->kind == SIM_STREAM && is_at(a, a->opt.error_event)) {
        put_error_event(c, a, out);
        return put_end(a, out);
    }
    if (a->next >= a->total && !a->opt.endless) {
        a->phase = SIM_PHASE_END;
        return STEP_WAIT;
    }
    if (a->kind == SIM_STREAM) {
        put_stream_token(c, a, out);
        a->due_us += jittered_us(c, a, a->opt.itl_ms);
        return STEP_WAIT;
    }
    struct buf *ev = &c->sim->event;
    buf_clear(ev);
    put_token_text(a, ev);
    put_framed(a, out, buf_get(ev));
    return STEP_WAIT;
}

static enum step say_end(struct sim_conn *c, struct sim_answer *a, struct buf *out) {
    if (a->kind == SIM_STREAM) {
        put_stream_end(c, a, out);
    } else {
        buf_clear(&c->sim->event);
        put_whole_end(a, &c->sim->event);
        put_framed(a, out, buf_get(&c->sim->event));
    }
    return put_end(a, out);
}

/* The end follows the last token at once. */
static bool must_wait(const struct sim_answer *a) {
    if (a->phase == SIM_PHASE_TOKENS) return a->next < a->total || a->opt.endless;
    return a->phase == SIM_PHASE_DELAY;
}

/* Appends to out what is due, at most about SIM_BATCH. */
static enum step fill(struct sim_conn *c, struct sim_answer *a, struct buf *out, uint64_t now) {
    enum step step = STEP_WAIT;
    while (step == STEP_WAIT) {
        if (buf_len(out) >= SIM_BATCH) return STEP_FULL;
        if (a->due_us > now && must_wait(a)) return STEP_WAIT;
        switch (a->phase) {
        case SIM_PHASE_DELAY:
            if (a->opt.cut_head) return STEP_CUT;
            a->phase = SIM_PHASE_HEAD;
            break;
        case SIM_PHASE_HEAD: step = say_head(c, a, out); break;
        case SIM_PHASE_TOKENS: step = say_token(c, a, out); break;
        case SIM_PHASE_END: step = say_end(c, a, out); break;
        case SIM_PHASE_STALLED: return STEP_STALL;
        }
    }
    return step;
}

void sim_answer_pump(struct sim_conn *c) {
    struct sim_answer *a = c->answer;
    struct buf        *out = &c->sim->out;
    uint64_t           now = sim_now_us();

    for (int i = 0; i < BATCHES_PER_TURN; i++) {
        buf_clear(out);
        enum step step = fill(c, a, out, now);
        if (buf_failed(out) || buf_failed(&c->sim->event) || buf_failed(&c->sim->tmp)) {
            sim_conn_close(c);
            return;
        }
        sim_conn_send(c, buf_get(out));
        if (c->state != SIM_ANSWER) return;

        if (step == STEP_WAIT) sim_arm(c->sim, &c->timer, a->due_us);
        if (step == STEP_STALL) a->phase = SIM_PHASE_STALLED;
        if (step == STEP_CUT) {
            c->close_after = true;
            c->reset_after = a->opt.reset;
        }
        if (step == STEP_CUT || step == STEP_DONE) sim_conn_finish(c); /* may free a */
        if (step != STEP_FULL || sim_conn_is_behind(c)) return;
    }
    sim_arm(c->sim, &c->timer, now);
}

void sim_answer_start(struct sim_conn *c, struct sim_answer *a) {
    const struct sim_options *o = &a->opt;
    double                    wait_ms = o->delay_ms;
    if (a->kind == SIM_WHOLE) {
        wait_ms += o->ttft_ms + (a->total > 1 ? o->itl_ms * (double)(a->total - 1) : 0);
    } else if (a->kind == SIM_FIXED && a->status == 200) {
        wait_ms += o->ttft_ms;
    }
    if (o->bad_json && a->kind == SIM_FIXED) a->prefix.len -= buf_len(&a->prefix) / 2;
    c->answer = a;
    struct sim_counters *n = &c->sim->count;
    if (++n->answering > n->max_answering) n->max_answering = n->answering;
    a->due_us = sim_now_us();
    if (wait_ms > 0) a->due_us += jittered_us(c, a, wait_ms);

    long piece = o->split > 0 ? o->split : o->slow;
    double gap_ms = o->split > 0 ? 0 : o->slow_ms;
    if (piece > 0 && sim_conn_pace(c, (size_t)piece, (uint64_t)(gap_ms * 1000)) != 0) {
        sim_conn_close(c);
        return;
    }
    sim_answer_pump(c);
}
