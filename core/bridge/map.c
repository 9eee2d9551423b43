/* map.c -- res:map(): functions of policies that change what an answer says.
 *
 *     event -> pieces (dialect) -> lanes -> functions -> event, with other strings
 *                                    |
 *                                    +-> events of their own, for what was held back
 *
 * A lane is one text that is said over many events: that of a choice and a kind (its
 * text, its reasoning, the arguments of its second call).  Words and lines are whole in a
 * lane, however events cut them and whatever stands between, so a function sees the same
 * pieces in a stream as in a whole answer.  The unfinished piece is held back until
 *
 *     the lane goes on            it may be finished now, and goes out in that event
 *     its JSON value is closed    arguments only: nothing follows that belongs to them, so a call is
 *                                 complete before the next one begins
 *     another call begins         that has the same index, or says none: in front
 *     its choice ends             in the event with the end, if that carries the lane, else in an event
 *                                 of its own in front of it
 *     the stream ends             in an event of its own
 *
 * Clients put each lane together for itself.  What one held back may therefore come behind pieces
 * of another (the last word of the reasoning behind the text), but never behind the end of its choice;
 * of several such, the one who spoke last goes first.  To give it out when another lane speaks would
 * tear a word whose rest is yet to come, and a mask would see neither half.  Everything else in an
 * event (usage, other choices) goes out once, where it stood.
 *
 * Log probabilities say the text again, token by token, and cannot be mapped: in a mapped answer they
 * are null, whatever the functions did.
 *
 * One event is three steps: plan() sees which lanes give out what (C only, may fail for
 * memory); run_jobs() calls the functions, protected; send() writes and passes on.
 *
 * Arguments are JSON in a string: an escape in them hides a character, and a word that is replaced may
 * break them.  With json = true they are held back until their value is closed, functions get the
 * strings and numbers in it, decoded, and what they return is written as JSON.
 *
 * Functions of one unit share a mapper.  One of another unit begins another mapper, which gets the events that come
 * out of the one before it, so functions run in the order in which policies gave them.
 *
 * An event that is no JSON cannot be mapped, nor one with something else where its text should be: it ends the
 * answer, because a function that takes secrets out must see all of it. */
#include <stdio.h>

#include "base/mem.h"
#include "bridge/blame.h"
#include "bridge/hooks_int.h"
#include "bridge/lib.h"
#include "llm/tool_calls.h"

#define MAPS_MAX  32   /* functions of one response */
#define LANES_MAX 4096 /* n = 128 choices with all their kinds and calls are far below */
#define PIECES_MAX 4096 /* of one event; planning compares them with each other, and nothing interrupts it */
#define HELD_KEPT 1024 /* bytes of a lane's buffer that stay although it is empty */

/* Reads JSON as far as it takes to know where a value is closed. */
struct value_end {
    unsigned depth;
    bool     in_string, escaped;
};

struct lane {
    enum piece_kind   kind;
    unsigned          choice, form, part;
    unsigned          key;   /* what tells it from others of its kind: the number of the call, or the part */
    bool              numbered, plain;
    struct buf        held;  /* decoded, not handed to a function yet */
    size_t            gone;  /* bytes that were */
    struct piece_half half;
    struct value_end  value; /* where the JSON value of arguments ends, as far as `gone` */
    bool              spoke; /* it had text */
    bool              ended; /* the functions for its end ran */
    uint64_t          spoke_at; /* number of the event that it was last in */
    char              name[24]; /* of the member that it was last in */
};

/* Something that one lane gives out with this event. */
struct job {
    unsigned lane;
    uint32_t node;     /* the string to replace; JSON_NONE: an event of its own, in front */
    bool     complete; /* also what is unfinished */
    bool     ends;     /* and what the functions for the end add */
    bool     same;     /* what comes out is what stood there */
    bool     drops;    /* null comes out, whatever stood there; it is of no lane */
    size_t   upto;     /* of all bytes of the lane, those that it may give out; an event may say more behind it */
    size_t   from, len; /* of what comes out, in `mapped` */
};

struct mapper {
    struct hooks     *h;
    struct mapper    *next;    /* functions of another unit, which get what comes out of here; NULL: none */
    unsigned          first;   /* number of its first function among those of the response */
    enum hook_unit    by;
    unsigned          masks[MAPS_MAX]; /* of each function: kinds that it maps */
    unsigned          count, kinds;
    bool              has_ends;
    bool              json;    /* arguments: the strings in them, decoded */
    bool              in_key;  /* what a function gets is the name of a member of them */
    size_t            limit;
    struct lane      *lanes;
    unsigned          lane_count, lane_cap;
    struct job       *jobs;
    unsigned          job_count, job_cap;
    struct piece_list pieces;
    unsigned         *keys;    /* of the pieces */
    unsigned          key_cap;
    struct tool_calls calls;
    struct json_doc   doc, arguments;
    struct buf        text, said; /* a string in arguments, and what became of it */
    uint64_t          events;  /* so far */
    struct buf        common;  /* members for events of its own */
    struct buf        mapped;  /* what functions made of this event */
    struct buf        frame;
    int               error;   /* PERILUNE_ERR_..., of this event */
};

static void mapper_free_one(struct mapper *m) {
    for (unsigned i = 0; i < m->lane_count; i++) buf_deinit(&m->lanes[i].held);
    mem_free(m->lanes);
    mem_free(m->jobs);
    piece_list_deinit(&m->pieces);
    mem_free(m->keys);
    tool_calls_deinit(&m->calls);
    json_deinit(&m->doc);
    json_deinit(&m->arguments);
    buf_deinit(&m->text);
    buf_deinit(&m->said);
    buf_deinit(&m->common);
    buf_deinit(&m->mapped);
    buf_deinit(&m->frame);
    mem_free(m);
}

void mapper_free(struct mapper *m) {
    for (struct mapper *next; m != NULL; m = next) {
        next = m->next;
        mapper_free_one(m);
    }
}

/* -- Lanes ---------------------------------------------------------------------------- */

static bool is_of(const struct mapper *m, const struct lane *l, unsigned at) {
    const struct piece *p = &m->pieces.items[at];
    return l->kind == p->kind && l->choice == p->choice && l->form == p->form && l->key == m->keys[at];
}

/* The lane of a piece, made when it is new. NULL, and m->error is set: there is no room. */
static struct lane *lane_of(struct mapper *m, unsigned at) {
    const struct piece *p = &m->pieces.items[at];
    for (unsigned i = 0; i < m->lane_count; i++)
        if (is_of(m, &m->lanes[i], at)) return &m->lanes[i];
    if (m->lane_count == LANES_MAX) m->error = PERILUNE_ERR_INVAL;
    else if (!mem_grow((void **)&m->lanes, m->lane_count, &m->lane_cap, sizeof(*m->lanes)))
        m->error = PERILUNE_ERR_NOMEM;
    if (m->error != 0) return NULL;
    struct lane *l = &m->lanes[m->lane_count++];
    *l = (struct lane){ .kind = p->kind, .choice = p->choice, .form = p->form, .part = p->part, .key = m->keys[at],
                        .numbered = p->numbered, .plain = p->plain };
    buf_init(&l->held, m->limit);
    return l;
}

static bool is_empty(const struct lane *l) { return buf_len(&l->held) == 0 && l->half.len == 0; }

static bool wants_end(const struct mapper *m, const struct lane *l) {
    return m->has_ends && l->kind == PIECE_TEXT && l->spoke && !l->ended;
}

/* -- Planning --------------------------------------------------------------------------- */

static struct job *add_job(struct mapper *m, const struct lane *l, uint32_t node) {
    if (!mem_grow((void **)&m->jobs, m->job_count, &m->job_cap, sizeof(*m->jobs))) {
        m->error = PERILUNE_ERR_NOMEM;
        return NULL;
    }
    struct job *j = &m->jobs[m->job_count++];
    *j = (struct job){ .lane = (unsigned)(l - m->lanes), .node = node };
    return j;
}

enum fate { FATE_SILENT, FATE_GOES_ON, FATE_ENDS };

/* Is this the beginning of another call, behind which what the lane's says could not be told from it?  Calls that
 * say their numbers may alternate. */
static bool is_next_call(const struct mapper *m, const struct lane *l, unsigned at) {
    const struct piece *p = &m->pieces.items[at];
    if (p->kind != PIECE_TOOL || l->kind != PIECE_ARGUMENTS || m->keys[at] == l->key) return false;
    return !p->numbered || p->part == l->part;
}

/* What becomes of the lane in this event, from one of its pieces on: which comes first? */
static enum fate fate_of(const struct mapper *m, const struct lane *l, unsigned from) {
    for (unsigned i = from; i < m->pieces.len; i++) {
        const struct piece *p = &m->pieces.items[i];
        if (p->choice != l->choice) continue;
        if (is_of(m, l, i)) return FATE_GOES_ON;
        if (p->kind == PIECE_END || is_next_call(m, l, i)) return FATE_ENDS;
    }
    return FATE_SILENT;
}

/* The job gives out what the lane has now; complete: also half of a character. */
static void bound(struct lane *l, struct job *j) {
    if (j->complete) piece_decode_rest(&l->half, &l->held);
    j->upto = l->gone + buf_len(&l->held);
}

/* Something to give out in front of the event at hand, or behind the last one. */
static void plan_front(struct mapper *m, struct lane *l) {
    struct job *j = is_empty(l) && !wants_end(m, l) ? NULL : add_job(m, l, JSON_NONE);
    if (j == NULL) return;
    j->complete = true;
    j->ends = wants_end(m, l);
    bound(l, j);
}

/* Who spoke last goes first: clients that show a part at a time have that one open. */
static void sort_fronts(struct mapper *m) {
    for (unsigned i = 1; i < m->job_count; i++) {
        struct job j = m->jobs[i];
        unsigned at = i;
        for (; at > 0 && m->lanes[m->jobs[at - 1].lane].spoke_at < m->lanes[j.lane].spoke_at; at--)
            m->jobs[at] = m->jobs[at - 1];
        m->jobs[at] = j;
    }
}

/* Lanes whose choice ends with this event, and that have no place in it. */
static void plan_fronts(struct mapper *m) {
    unsigned count = m->lane_count; /* those that this event makes have nothing to give */
    for (unsigned i = 0; i < count && m->error == 0; i++) {
        struct lane *l = &m->lanes[i];
        if (fate_of(m, l, 0) == FATE_ENDS) plan_front(m, l);
    }
    sort_fronts(m);
}

static void plan_piece(struct mapper *m, unsigned at, bool whole) {
    const struct piece *p = &m->pieces.items[at];
    struct lane *l = lane_of(m, at);
    if (l == NULL) return;
    struct job *j = add_job(m, l, p->node);
    if (j == NULL) return;
    j->same = is_empty(l);
    enum fate fate = fate_of(m, l, at + 1);
    /* JSON in place of a string is complete, and stays JSON when nobody changes it. */
    j->complete = fate == FATE_ENDS || (whole && fate == FATE_SILENT) || !json_is(&m->doc, p->node, JSON_STRING);
    size_t before = buf_len(&l->held);
    piece_decode(&m->doc, p->node, &l->half, &l->held);
    if (buf_len(&l->held) > before) {
        l->spoke = true;
        l->spoke_at = m->events;
    }
    j->ends = j->complete && wants_end(m, l);
    struct slice name = slice_trim(json_plain(&m->doc, p->name));
    slice_copy(l->name, sizeof(l->name), name);
    bound(l, j);
    if (m->error == 0) m->error = l->held.error;
}

/* Log probabilities tell what a lane says, before it was mapped. */
static void plan_drop(struct mapper *m, const struct piece *p) {
    if (json_type(&m->doc, p->node) == JSON_NULL) return;
    struct job *j = add_job(m, m->lanes, p->node);
    if (j != NULL) j->drops = true;
}

/* A large buffer that hardly holds anything any more. */
static void shrink(struct buf *held) {
    if (held->cap <= HELD_KEPT || buf_len(held) > held->cap / 4) return;
    struct buf less;
    buf_init(&less, held->limit);
    buf_slice(&less, buf_get(held));
    if (buf_failed(&less)) return;
    buf_deinit(held);
    *held = less;
}

/* All lanes together hold no more than one answer may be. */
static void weigh(struct mapper *m) {
    size_t all = 0;
    for (unsigned i = 0; i < m->lane_count; i++) {
        shrink(&m->lanes[i].held);
        all += buf_len(&m->lanes[i].held);
    }
    if (m->limit != 0 && all > m->limit && m->error == 0) m->error = PERILUNE_ERR_LIMITED;
}

/* What each piece is called among those of its kind. */
static void name_pieces(struct mapper *m) {
    while (m->key_cap < m->pieces.len && m->error == 0)
        if (!mem_grow((void **)&m->keys, m->key_cap, &m->key_cap, sizeof(*m->keys))) m->error = PERILUNE_ERR_NOMEM;
    for (unsigned i = 0; i < m->pieces.len && m->error == 0; i++) {
        const struct piece *p = &m->pieces.items[i];
        m->keys[i] = p->part;
        if (p->call == JSON_NONE) continue;
        bool mentioned = i > 0 && m->pieces.items[i - 1].call == p->call; /* a call's mention, then its arguments */
        struct tool_call_at at = { p->choice, p->call, p->part, p->among };
        int rc = mentioned ? 0 : tool_calls_find(&m->calls, &m->doc, &at, &m->keys[i]);
        if (mentioned) m->keys[i] = m->keys[i - 1];
        if (rc != 0) m->error = rc == PERILUNE_ERR_LIMITED ? PERILUNE_ERR_INVAL : rc;
    }
}

static void plan(struct mapper *m, bool whole) {
    m->job_count = 0;
    if (m->pieces.failed) m->error = PERILUNE_ERR_NOMEM;
    else if (m->pieces.len > PIECES_MAX) m->error = PERILUNE_ERR_INVAL;
    if (m->error == 0) name_pieces(m);
    if (m->error == 0) plan_fronts(m);
    for (unsigned i = 0; i < m->pieces.len && m->error == 0; i++) {
        enum piece_kind kind = m->pieces.items[i].kind;
        if (kind == PIECE_LOGPROBS) plan_drop(m, &m->pieces.items[i]);
        else if (kind < PIECE_KINDS && (m->kinds & 1u << kind)) plan_piece(m, i, whole);
    }
    weigh(m);
}

/* The stream is over: all that is held. */
static void plan_rest(struct mapper *m) {
    m->job_count = 0;
    for (unsigned i = 0; i < m->lane_count && m->error == 0; i++) plan_front(m, &m->lanes[i]);
    sort_fronts(m);
}

/* -- Words, sentences, lines --------------------------------------------------------------------- */

enum class { CLASS_LETTER, CLASS_WIDE, CLASS_SPACE, CLASS_PART /* of a character that goes on */ };

/* What the character at s is, and its length.  WIDE: scripts that are written without
 * spaces, Chinese and Japanese: their words cannot be told apart, and to wait for the next mark would take as long
 * as the sentence, so each character is one. */
static enum class class_of(struct slice s, size_t *len) {
    unsigned char c = (unsigned char)s.ptr[0];
    *len = 1;
    if (c < 0x80) return c == ' ' || c == '\t' || c == '\n' || c == '\r' ? CLASS_SPACE : CLASS_LETTER;
    size_t n = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
    if (s.len < n) return CLASS_PART;
    *len = n;
    if (n == 4) return c == 0xF0 && (unsigned char)s.ptr[1] >= 0xA0 ? CLASS_WIDE : CLASS_LETTER; /* U+20000 on */
    if (n == 2) return CLASS_LETTER;
    unsigned code = (c & 15u) << 12 | ((unsigned char)s.ptr[1] & 63u) << 6 | ((unsigned char)s.ptr[2] & 63u);
    bool mark = (code >= 0x3000 && code <= 0x303F && code != 0x3005 && code != 0x3007) ||
                (code >= 0xFF00 && code <= 0xFF65 && !(code >= 0xFF10 && code <= 0xFF19) &&
                 !(code >= 0xFF21 && code <= 0xFF3A) && !(code >= 0xFF41 && code <= 0xFF5A));
    if (mark) return CLASS_SPACE;
    bool wide = (code >= 0x3005 && code <= 0x30FF) || (code >= 0x3400 && code <= 0x9FFF) ||
                (code >= 0xF900 && code <= 0xFAFF);
    return wide ? CLASS_WIDE : CLASS_LETTER;
}

/* The length of what s begins with: a separator (*is_piece false), or a word.  0: it may go on. */
static size_t word_len(struct slice s, bool all, bool *is_piece) {
    size_t len, at = 0;
    enum class first = class_of(s, &len);
    *is_piece = first != CLASS_SPACE;
    if (first == CLASS_SPACE) return len;
    if (first == CLASS_PART) return all ? s.len : 0;
    if (first == CLASS_WIDE) return len;
    while (at < s.len) {
        enum class c = class_of(slice_of(s.ptr + at, s.len - at), &len);
        if (c == CLASS_PART) break;
        if (c != first) return at;
        at += len;
    }
    return all ? s.len : 0;
}

/* What ends a sentence: with those of ASCII only where white space follows, for there are 3.14 and a.b.com. */
static bool is_full_stop(struct slice c) {
    static const struct slice marks[] = { SLICE("."), SLICE("!"), SLICE("?"), SLICE("\xe3\x80\x82"), /* 。 */
                                          SLICE("\xef\xbc\x81"), SLICE("\xef\xbc\x9f"), SLICE("\xef\xbc\x9b") };
    for (size_t i = 0; i < sizeof(marks) / sizeof(*marks); i++)
        if (slice_eq(c, marks[i])) return true;
    return false;
}

/* The same of sentences, which end with their mark, or where a line does.  White space between them is kept. */
static size_t sentence_len(struct slice s, bool all, bool *is_piece) {
    size_t len = 1;
    *is_piece = strchr(" \t\r\n", s.ptr[0]) == NULL || s.ptr[0] == '\0';
    if (!*is_piece) return 1;
    for (size_t at = 0; at < s.len; at += len) {
        if (s.ptr[at] == '\n') return at;
        if (class_of(slice_of(s.ptr + at, s.len - at), &len) == CLASS_PART) break;
        if (!is_full_stop(slice_of(s.ptr + at, len))) continue;
        if (len > 1) return at + len;
        if (at + 1 < s.len && strchr(" \t\r\n", s.ptr[at + 1]) != NULL && s.ptr[at + 1] != '\0') return at + 1;
    }
    return all ? s.len : 0;
}

static size_t line_len(struct slice s, bool all, bool *is_piece) {
    const char *nl = memchr(s.ptr, '\n', s.len);
    *is_piece = nl != s.ptr;
    if (nl == s.ptr) return 1;
    return nl ? (size_t)(nl - s.ptr) : all ? s.len : 0;
}

/* The length of what s begins with up to the end of a JSON value. 0: none ends in s. */
static size_t value_len(struct value_end *v, struct slice s) {
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool was_string = v->in_string;
        if (v->escaped) v->escaped = false;
        else if (c == '"') v->in_string = !v->in_string;
        else if (v->in_string) v->escaped = c == '\\';
        else if (c == '{' || c == '[') v->depth++;
        else if ((c == '}' || c == ']') && v->depth > 0) v->depth--;
        bool closes = c == '}' || c == ']' || (c == '"' && was_string);
        if (closes && v->depth == 0 && !v->in_string) return i + 1;
    }
    return 0;
}

/* The length of the piece or separator that s begins with.  0: it may go on. */
static size_t unit_len(const struct mapper *m, struct slice s, bool all, bool *is_piece) {
    *is_piece = true;
    switch (m->by) {
    case UNIT_EVENT: return s.len;
    case UNIT_WORD: return word_len(s, all, is_piece);
    case UNIT_SENTENCE: return sentence_len(s, all, is_piece);
    case UNIT_LINE: return line_len(s, all, is_piece);
    }
    return s.len;
}

static bool is_json(const struct mapper *m, const struct lane *l) {
    return m->json && l->kind == PIECE_ARGUMENTS && !l->plain;
}

/* The same of a lane; with json = true the arguments of a call are one piece. */
static size_t next_len(const struct mapper *m, struct lane *l, struct slice s, bool all, bool *is_piece) {
    *is_piece = true;
    size_t len = is_json(m, l) ? (all ? s.len : 0) : unit_len(m, s, all, is_piece);
    if (l->kind != PIECE_ARGUMENTS || l->plain || (m->by == UNIT_EVENT && !m->json)) return len;
    struct value_end v = l->value;
    size_t closed = value_len(&v, len > 0 ? slice_of(s.ptr, len) : s);
    if (closed > 0) len = closed;
    if (len > 0) value_len(&l->value, slice_of(s.ptr, len));
    return len;
}

/* -- Functions ------------------------------------------------------------------------------ */

enum { MAPS = 1, ENDS, INFOS, STACK }; /* places on the stack of run_jobs() */

/* { choice =, kind =, key = } of a lane: made once, and kept with the functions. [0, +1, e] */
static void push_info(lua_State *L, const struct mapper *m, unsigned lane) {
    int place = (int)(m->first * LANES_MAX + lane) + 1; /* each mapper has lanes of its own */
    if (m->in_key) place = -place;
    lua_rawgeti(L, INFOS, place);
    if (!lua_isnil(L, -1)) return;
    lua_pop(L, 1);
    lua_createtable(L, 0, 3);
    if (m->in_key) {
        lua_pushboolean(L, 1);
        lua_setfield(L, -2, "key");
    }
    lua_pushnumber(L, m->lanes[lane].choice);
    lua_setfield(L, -2, "choice");
    lua_pushstring(L, piece_names[m->lanes[lane].kind]);
    lua_setfield(L, -2, "kind");
    lua_pushvalue(L, -1);
    lua_rawseti(L, INFOS, place);
}

static void check_mapped(lua_State *L) {
    if (!lua_isnil(L, -1) && lua_type(L, -1) != LUA_TSTRING)
        luaL_error(L, "map's function must return a string or nil, not a %s", luaL_typename(L, -1));
}

/* out += the string on top, through the functions for its kind from number `from` on.
 * Returns whether it came out as it went in. [-1, +0, e] */
static bool map_through(lua_State *L, struct mapper *m, unsigned lane, unsigned from, struct buf *out) {
    int piece = lua_gettop(L);
    lua_pushvalue(L, piece);
    for (unsigned i = from; i < m->count && !lua_isnil(L, -1); i++) {
        if (!(m->masks[i] & 1u << m->lanes[lane].kind)) continue;
        lua_rawgeti(L, MAPS, (int)(m->first + i) + 1);
        lua_insert(L, -2);
        push_info(L, m, lane);
        blame_call(L, 2, 1, check_mapped);
    }
    size_t len = 0;
    const char *s = lua_isnil(L, -1) ? "" : lua_tolstring(L, -1, &len);
    buf_put(out, s, len);
    bool same = lua_rawequal(L, piece, -1);
    lua_settop(L, piece - 1);
    return same;
}

/* out += a text that is all here, piece by piece. Returns whether it came out as it went in. [0, 0, e] */
static bool map_text(lua_State *L, struct mapper *m, unsigned lane, struct slice s, struct buf *out) {
    bool same = true, is_piece;
    for (size_t len; s.len > 0; s = slice_of(s.ptr + len, s.len - len)) {
        len = unit_len(m, s, true, &is_piece);
        lua_pushlstring(L, s.ptr, len);
        if (is_piece) same &= map_through(L, m, lane, 0, out);
        else buf_put(out, s.ptr, len);
        if (!is_piece) lua_pop(L, 1);
    }
    return same;
}

/* A value in arguments: what became of it, as JSON again.  A number that is none any more becomes a string. */
static bool map_value(lua_State *L, struct mapper *m, unsigned lane, uint32_t node) {
    const struct json_doc *d = &m->arguments;
    struct slice raw = json_raw(d, node), behind = slice_of(raw.ptr + raw.len, d->text.len - d->nodes[node].end);
    struct json_doc number = { .nodes = NULL };
    bool text = json_type(d, node) == JSON_STRING;
    buf_clear(&m->text);
    buf_clear(&m->said);
    if (text) json_decode_string(d, node, &m->text);
    else buf_slice(&m->text, raw);
    behind = slice_trim(behind);
    m->in_key = behind.len > 0 && behind.ptr[0] == ':';
    bool same = map_text(L, m, lane, buf_get(&m->text), &m->said);
    m->in_key = false;
    if (buf_failed(&m->text) || buf_failed(&m->said)) m->mapped.error = PERILUNE_ERR_NOMEM;
    struct slice said = buf_get(&m->said);
    bool plain = !text && json_parse(&number, said, &(struct json_error){ 0 }) == 0 &&
                 json_type(&number, 0) == JSON_NUMBER;
    json_deinit(&number);
    if (same) buf_slice(&m->mapped, raw);
    else if (plain) buf_slice(&m->mapped, said);
    else json_write_string(&m->mapped, said);
    return same;
}

/* mapped += arguments that are all here: the strings and numbers in them, and the rest as it is.  What is no JSON is
 * a text. */
static bool map_arguments(lua_State *L, struct mapper *m, unsigned lane, struct slice s) {
    struct json_doc *d = &m->arguments;
    int rc = json_parse(d, s, &(struct json_error){ 0 });
    if (rc == PERILUNE_ERR_NOMEM) m->mapped.error = rc;
    if (rc != 0) return map_text(L, m, lane, s, &m->mapped);
    bool same = true;
    size_t at = 0;
    for (uint32_t i = 0; i < d->len; i++) {
        enum json_type type = json_type(d, i);
        if (type != JSON_STRING && type != JSON_NUMBER) continue;
        buf_put(&m->mapped, s.ptr + at, d->nodes[i].start - at);
        at = d->nodes[i].end;
        same &= map_value(L, m, lane, i);
    }
    buf_put(&m->mapped, s.ptr + at, s.len - at);
    return same;
}

static void run_pieces(lua_State *L, struct mapper *m, struct job *j) {
    struct lane *l = &m->lanes[j->lane];
    while (j->upto > l->gone) {
        struct slice s = slice_of(buf_get(&l->held).ptr, j->upto - l->gone);
        bool is_piece;
        size_t len = next_len(m, l, s, j->complete, &is_piece);
        if (len == 0) {
            j->same = false;
            return;
        }
        if (is_json(m, l)) {
            j->same &= map_arguments(L, m, j->lane, slice_of(s.ptr, len));
        } else if (is_piece) {
            lua_pushlstring(L, s.ptr, len);
            j->same &= map_through(L, m, j->lane, 0, &m->mapped);
        } else {
            buf_put(&m->mapped, s.ptr, len);
        }
        buf_consume(&l->held, len);
        l->gone += len;
    }
    j->same &= l->half.len == 0;
    if (j->complete) l->value = (struct value_end){ 0 };
}

/* What each function for the end adds, seen by the maps behind it. */
static void run_ends(lua_State *L, struct mapper *m, struct job *j) {
    m->lanes[j->lane].ended = true;
    j->same = false;
    for (unsigned i = 0; i < m->count; i++) {
        lua_rawgeti(L, ENDS, (int)(m->first + i) + 1);
        if (!lua_isfunction(L, -1) || !(m->masks[i] & 1u << PIECE_TEXT)) {
            lua_pop(L, 1);
            continue;
        }
        push_info(L, m, j->lane);
        blame_call(L, 1, 1, check_mapped);
        if (lua_isnil(L, -1)) lua_pop(L, 1);
        else map_through(L, m, j->lane, i + 1, &m->mapped);
    }
}

static void push_list(lua_State *L, int env, const char *name) {
    lua_getfield(L, env, name);
    if (!lua_isnil(L, -1)) return;
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_setfield(L, env, name);
}

static int run_jobs(lua_State *L, void *ud) {
    struct mapper *m = ud;
    if (!lib_push_handle(L, m->h->r)) return luaL_error(L, "the functions of map are gone"); /* nothing goes unseen */
    lua_getfenv(L, 1);
    push_list(L, 2, "maps");
    push_list(L, 2, "ends");
    push_list(L, 2, "infos");
    lua_remove(L, 2);
    lua_remove(L, 1);
    luaL_checkstack(L, STACK + 8, NULL);
    for (unsigned i = 0; i < m->job_count; i++) {
        struct job *j = &m->jobs[i];
        if (j->drops) continue;
        j->from = buf_len(&m->mapped);
        run_pieces(L, m, j);
        if (j->ends) run_ends(L, m, j);
        j->len = buf_len(&m->mapped) - j->from;
    }
    return 0;
}

/* -- Sending -------------------------------------------------------------------------------- */

static struct slice result_of(const struct mapper *m, const struct job *j) {
    return slice_of(buf_get(&m->mapped).ptr + j->from, j->len);
}

/* To the functions of the next unit, or on. */
static enum flow pass(struct mapper *m, const struct event *ev) {
    return m->next != NULL ? mapper_event(m->next, ev) : hooks_pass(m->h, ev);
}

/* An event of its own for what a lane still held. */
static void send_front(struct mapper *m, const struct job *j) {
    const struct lane *l = &m->lanes[j->lane];
    const struct piece p = { .kind = l->kind, .choice = l->choice, .form = l->form, .part = l->part,
                             .numbered = l->numbered };
    if (j->len == 0) return;
    buf_clear(&m->frame);
    buf_puts(&m->frame, "data: ");
    m->h->r->dialect->write_piece(&m->frame, buf_get(&m->common), &p, slice_str(l->name), result_of(m, j));
    size_t len = buf_len(&m->frame);
    buf_puts(&m->frame, "\n\n");
    m->error = m->frame.error;
    if (m->error != 0) return;
    struct slice raw = buf_get(&m->frame);
    pass(m, &(struct event){ .type = EVENT_FRAME, .raw = raw, .data = slice_of(raw.ptr + 6, len - 6) });
}

/* From the order in which pieces are said to that in which they are written. */
static void sort_jobs(struct mapper *m) {
    for (unsigned i = 1; i < m->job_count; i++) {
        struct job j = m->jobs[i];
        unsigned at = i;
        for (; at > 0 && m->jobs[at - 1].node > j.node; at--) m->jobs[at] = m->jobs[at - 1];
        m->jobs[at] = j;
    }
}

/* out += the lines of a frame besides its data: event, id, retry. */
static void put_lines(struct buf *out, struct slice raw) {
    for (size_t len; raw.len > 0; raw = slice_of(raw.ptr + len, raw.len - len)) {
        size_t end = 0;
        while (end < raw.len && raw.ptr[end] != '\n' && raw.ptr[end] != '\r') end++;
        struct slice line = slice_of(raw.ptr, end);
        len = end < raw.len ? end + 1 : end; /* what is left of \r\n is an empty line */
        bool data = slice_starts(line, SLICE("data")) && (line.len == 4 || line.ptr[4] == ':');
        if (line.len == 0 || data) continue;
        buf_slice(out, line);
        buf_putc(out, '\n');
    }
}

/* The event with other strings in the places of its own. */
static void rebuild(struct mapper *m, bool frame, struct event *out) {
    const char *text = m->doc.text.ptr;
    size_t at = 0, start = 0;
    buf_clear(&m->frame);
    if (frame) {
        put_lines(&m->frame, out->raw);
        buf_puts(&m->frame, "data: ");
        start = buf_len(&m->frame);
    }
    sort_jobs(m);
    for (unsigned i = 0; i < m->job_count; i++) {
        const struct job *j = &m->jobs[i];
        if (j->node == JSON_NONE) continue;
        buf_put(&m->frame, text + at, m->doc.nodes[j->node].start - at);
        if (j->drops) buf_puts(&m->frame, "null");
        else json_write_string(&m->frame, result_of(m, j));
        at = m->doc.nodes[j->node].end;
    }
    buf_put(&m->frame, text + at, m->doc.text.len - at);
    /* Data of several lines: JSON has line ends as white space only. */
    for (size_t i = start; frame && i < buf_len(&m->frame); i++) {
        char *c = m->frame.data + m->frame.mark + i;
        if (*c == '\n' || *c == '\r') *c = ' ';
    }
    size_t len = buf_len(&m->frame);
    if (frame) buf_puts(&m->frame, "\n\n");
    m->error = m->frame.error;
    out->raw = buf_get(&m->frame);
    out->data = slice_of(out->raw.ptr + start, len - start);
}

static bool is_over(const struct hooks *h) { return h->broken || h->r->state == RESPONSE_OVER; }

/* Something went wrong that is no function's fault. */
static bool has_failed(struct mapper *m) {
    struct hooks *h = m->h;
    if (m->error == 0) m->error = m->mapped.error ? m->mapped.error : m->common.error;
    if (m->error == 0 || h->broken) return h->broken;
    if (m->error == PERILUNE_ERR_LIMITED)
        failure_set(&h->failure, FAILURE_ANSWER_TOO_LARGE, "words or lines that map waits for are over max_body");
    else if (m->error == PERILUNE_ERR_INVAL)
        failure_set(&h->failure, FAILURE_MALFORMED, "the upstream sent more than %d choices, texts and calls in one "
                    "answer", LANES_MAX);
    else failure_set(&h->failure, FAILURE_NO_MEMORY, "out of memory");
    hooks_break(h);
    return true;
}

/* The functions, then the events in front. False: the answer is over. */
static bool run_and_send_fronts(struct mapper *m) {
    struct hooks *h = m->h;
    buf_clear(&m->mapped);
    if (has_failed(m)) return false;
    if (m->job_count == 0) return true;
    hooks_protect(h, run_jobs, m);
    if (is_over(h) || has_failed(m)) {
        if (h->broken) hooks_break(h);
        return false;
    }
    for (unsigned i = 0; i < m->job_count; i++) {
        if (m->jobs[i].node == JSON_NONE) send_front(m, &m->jobs[i]);
        if (is_over(h) || has_failed(m)) return false;
    }
    return true;
}

/* Strings that are not to be mapped, and what came out as it went in, leave the event as it is. */
static bool is_changed(const struct mapper *m) {
    for (unsigned i = 0; i < m->job_count; i++)
        if (m->jobs[i].node != JSON_NONE && !m->jobs[i].same) return true;
    return false;
}

static enum flow not_json(struct hooks *h) {
    failure_set(&h->failure, FAILURE_MALFORMED, "the upstream sent an event that is no JSON; a policy maps the "
                "answer, and must see all of it");
    hooks_break(h);
    return FLOW_MORE;
}

static enum flow not_understood(struct hooks *h, size_t at) {
    failure_set(&h->failure, FAILURE_MALFORMED, "the upstream sent something that is no text where its answer should "
                "have one (byte %zu); a policy maps the answer, and must see all of it", at);
    hooks_break(h);
    return FLOW_MORE;
}

static enum flow map_content(struct mapper *m, const struct event *ev) {
    const struct dialect *d = m->h->r->dialect;
    bool frame = ev->type == EVENT_FRAME;
    d->pieces(&m->doc, &m->pieces);
    if (m->pieces.odd) return not_understood(m->h, m->pieces.odd_at);
    plan(m, !frame);
    if (frame && buf_len(&m->common) == 0 && m->pieces.len > 0) d->write_common(&m->common, &m->doc);
    if (!run_and_send_fronts(m)) return FLOW_MORE;
    struct event out = *ev;
    if (is_changed(m)) rebuild(m, frame, &out);
    return has_failed(m) ? FLOW_MORE : pass(m, &out);
}

enum flow mapper_event(struct mapper *m, const struct event *ev) {
    struct slice data = ev->type == EVENT_FRAME ? ev->data : ev->raw;
    m->error = 0;
    m->events++;
    if (ev->type == EVENT_END || dialect_is_end(m->h->r->dialect, data)) {
        plan_rest(m);
        return run_and_send_fronts(m) ? pass(m, ev) : FLOW_MORE;
    }
    int rc = json_parse(&m->doc, data, &(struct json_error){ 0 });
    if (rc == PERILUNE_ERR_INVAL) return not_json(m->h);
    m->error = rc;
    return has_failed(m) ? FLOW_MORE : map_content(m, ev);
}

/* -- res:map(by, fn, { of =, at_end =, json = }) --------------------------------------------------- */

static const char *const units[] = { "event", "word", "sentence", "line", NULL };

static unsigned kind_at(lua_State *L, int index) {
    const char *name = lua_type(L, index) == LUA_TSTRING ? lua_tostring(L, index) : "";
    for (unsigned k = 0; k < PIECE_KINDS; k++)
        if (strcmp(name, piece_names[k]) == 0) return 1u << k;
    luaL_error(L, "map: 'of' holds %s; it lists \"text\", \"reasoning\", \"refusal\", \"arguments\"",
               name[0] ? name : luaL_typename(L, index));
    return 0;
}

/* The kinds in options.of, or text alone. [0, 0, e] */
static unsigned read_kinds(lua_State *L, int options) {
    unsigned kinds = 0;
    lua_getfield(L, options, "of");
    if (lua_type(L, -1) == LUA_TSTRING) {
        kinds = kind_at(L, -1);
    } else if (lua_istable(L, -1)) {
        for (int i = 1; i <= (int)lua_objlen(L, -1); i++) {
            lua_rawgeti(L, -1, i);
            kinds |= kind_at(L, -1);
            lua_pop(L, 1);
        }
    } else if (!lua_isnil(L, -1)) {
        luaL_error(L, "map: 'of' must be a list of kinds");
    }
    lua_pop(L, 1);
    return kinds ? kinds : 1u << PIECE_TEXT;
}

/* Leaves at_end, or false, on top. [0, +1, e] */
static unsigned read_options(lua_State *L, int at, bool *json) {
    if (lua_isnoneornil(L, at)) {
        lua_pushboolean(L, 0); /* keeps its place in the list */
        return 1u << PIECE_TEXT;
    }
    if (lua_isfunction(L, at)) {
        lua_pushvalue(L, at);
        return 1u << PIECE_TEXT;
    }
    luaL_argcheck(L, lua_istable(L, at), at, "at_end must be a function, or options a table: { of =, at_end =, "
                                             "json = }");
    for (lua_pushnil(L); lua_next(L, at) != 0; lua_pop(L, 1)) {
        const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
        if (strcmp(key, "of") != 0 && strcmp(key, "at_end") != 0 && strcmp(key, "json") != 0)
            luaL_error(L, "map: unknown option '%s'; there are 'of', 'at_end' and 'json'", key);
    }
    lua_getfield(L, at, "json");
    if (!lua_isnil(L, -1) && !lua_isboolean(L, -1)) luaL_error(L, "map: 'json' must be true or false");
    *json = lua_toboolean(L, -1) != 0;
    lua_pop(L, 1);
    unsigned kinds = read_kinds(L, at);
    lua_getfield(L, at, "at_end");
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_pushboolean(L, 0);
    }
    if (!lua_isboolean(L, -1) && !lua_isfunction(L, -1)) luaL_error(L, "map: 'at_end' must be a function");
    return kinds;
}

/* The last one, or one behind it when that maps by another unit, or arguments in another way. */
static struct mapper *mapper_of(lua_State *L, struct hooks *h, enum hook_unit by, unsigned kinds, bool json) {
    struct mapper **at = &h->mapper, *last = NULL;
    for (; *at != NULL; at = &last->next) last = *at;
    unsigned first = last ? last->first + last->count : 0;
    if (first == MAPS_MAX) luaL_error(L, "map: more than %d functions on one response", MAPS_MAX);
    bool clash = last && last->kinds & kinds & 1u << PIECE_ARGUMENTS && last->json != json;
    if (last != NULL && last->by == by && !clash) return last;
    struct mapper *m = *at = mem_zalloc(sizeof(*m));
    if (m == NULL) luaL_error(L, "not enough memory");
    m->h = h;
    m->by = by;
    m->first = first;
    m->limit = h->r->limit;
    return m;
}

int l_response_map(lua_State *L) {
    enum hook_unit by = (enum hook_unit)luaL_checkoption(L, 2, NULL, units);
    luaL_checktype(L, 3, LUA_TFUNCTION);
    lua_settop(L, 4);
    bool json = false;
    unsigned kinds = read_options(L, 4, &json);
    lua_replace(L, 4);
    struct response *r;
    struct hooks *h = hooks_for(L, &r);
    if (r->dialect == NULL || r->dialect->pieces == NULL)
        return luaL_error(L, "map: this answer is passed through as bytes and has no text that is known; map works "
                             "on chat completions (paths that end in /chat/completions)");
    struct mapper *m = mapper_of(L, h, by, kinds, json);
    hooks_add_function(L, "maps", 3);
    hooks_add_function(L, "ends", 4);
    if (kinds & 1u << PIECE_ARGUMENTS) m->json = json;
    m->masks[m->count++] = kinds;
    m->kinds |= kinds;
    m->has_ends |= lua_isfunction(L, 4) && (kinds & 1u << PIECE_TEXT);
    lua_settop(L, 1);
    return 1;
}
