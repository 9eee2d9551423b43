/* outcomes.c -- what became of prompts: the lines that `perilune train` and `perilune eval` read.
 *
 *     {"prompt": "...", "models": {"small": {"quality": 0.4, "cost": 0.0001}, "big": {"quality": 1}}, "group": "law"}
 *     {"messages": [{"role": "user", "content": "..."}], "models": {...}}
 *     {"prompt": "...", "label": "greeting"}        {"prompt": "...", "label": null}: none of them
 *
 * quality is 0 to 1, cost USD (0 when it is not said); group is what tells apart those that are alike: a subject,
 * a user, a conversation.  Of messages the last one of the user counts, as the policies see it.  Other members are
 * the writer's own business.  A file has lines of one kind.
 *
 * Any line that is not so ends the reading with FILE:LINE and what it needs: half of a file would be learned for all
 * of it otherwise.  Texts are copied into an arena, the file goes when it is read.
 *
 * Thread: one, a program of its own. */
#include "cli/outcomes.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/json.h"
#include "cli/files.h"
#include "include/perilune.h"

#define MAX_FILE (1u << 30)

struct outcomes_place {
    struct slice name;
    uint32_t     group;
};

static const char wanted[] =
    "needs \"prompt\" or \"messages\", and \"models\": {\"NAME\": {\"quality\": 0 to 1, \"cost\": USD}} or "
    "\"label\": \"NAME\"";

/* -- Names ------------------------------------------------------------------------------- */

/* The name's number in a short list, where it is put when it is new; OUTCOMES_NONE: the list is full. */
static uint32_t number_of(char (*list)[OUTCOMES_NAME], unsigned *count, unsigned most, struct slice name) {
    for (unsigned i = 0; i < *count; i++)
        if (slice_eq(slice_str(list[i]), name)) return i;
    if (*count == most) return OUTCOMES_NONE;
    slice_copy(list[*count], OUTCOMES_NAME, name);
    return (*count)++;
}

uint32_t outcomes_model(const struct outcomes *o, const char *name) {
    for (unsigned i = 0; i < o->models; i++)
        if (strcmp(o->model[i], name) == 0) return i;
    return OUTCOMES_NONE;
}

static bool grow_places(struct outcomes *o) {
    unsigned bits = o->place_bits == 0 ? 10 : o->place_bits + 1;
    struct outcomes_place *places = mem_zalloc(((size_t)1 << bits) * sizeof(*places));
    if (places == NULL) return false;
    for (size_t i = 0; o->places != NULL && i < (size_t)1 << o->place_bits; i++) {
        if (o->places[i].name.ptr == NULL) continue;
        uint64_t at = hash_fnv(o->places[i].name);
        while (places[at & (((uint64_t)1 << bits) - 1)].name.ptr != NULL) at++;
        places[at & (((uint64_t)1 << bits) - 1)] = o->places[i];
    }
    mem_free(o->places);
    o->places = places;
    o->place_bits = bits;
    return true;
}

static bool find_group(struct outcomes *o, struct slice name, uint32_t *group) {
    if ((o->place_bits == 0 || o->named * 2 >= 1u << o->place_bits) && !grow_places(o)) return false;
    uint64_t at = hash_fnv(name), mask = ((uint64_t)1 << o->place_bits) - 1;
    for (; o->places[at & mask].name.ptr != NULL; at++) {
        *group = o->places[at & mask].group;
        if (slice_eq(o->places[at & mask].name, name)) return true;
    }
    char *copy = arena_dup(&o->arena, name);
    if (copy == NULL) return false;
    *group = o->named++;
    o->places[at & mask] = (struct outcomes_place){ slice_of(copy, name.len), *group };
    return true;
}

/* -- Members of a line ---------------------------------------------------------------------- */

static const char *add_text(const struct json_doc *d, uint32_t content, struct buf *out) {
    if (json_is(d, content, JSON_STRING)) {
        json_decode_string(d, content, out);
        return NULL;
    }
    if (!json_is(d, content, JSON_ARRAY)) return "the user's last message has no text";
    for (uint32_t n = json_first(d, content); n != JSON_NONE; n = json_next(d, content, n)) {
        uint32_t text = json_is(d, n, JSON_OBJECT) ? json_get(d, n, SLICE("text")) : JSON_NONE;
        if (!json_is(d, text, JSON_STRING)) continue;
        if (buf_len(out) > 0) buf_putc(out, '\n');
        json_decode_string(d, text, out);
    }
    return NULL;
}

static const char *take_messages(const struct json_doc *d, uint32_t list, struct outcome *l, struct buf *text) {
    uint32_t last = JSON_NONE;
    for (uint32_t n = json_first(d, list); n != JSON_NONE; n = json_next(d, list, n)) {
        if (!json_is(d, n, JSON_OBJECT)) return "\"messages\" must be a list of objects";
        uint32_t role = json_get(d, n, SLICE("role"));
        if (!json_is(d, role, JSON_STRING) || !json_str_eq(d, role, SLICE("user"))) continue;
        last = json_get(d, n, SLICE("content"));
        l->turns++;
    }
    if (l->turns == 0) return "\"messages\" has none of the user";
    return add_text(d, last, text);
}

static const char *take_text(struct outcomes *o, const struct json_doc *d, struct outcome *l) {
    uint32_t prompt = json_get(d, 0, SLICE("prompt")), messages = json_get(d, 0, SLICE("messages"));
    if ((prompt == JSON_NONE) == (messages == JSON_NONE)) return prompt == JSON_NONE ? wanted
                                                              : "has \"prompt\" and \"messages\": leave one out";
    const char *why = NULL;
    struct buf text;
    buf_init(&text, 0);
    if (prompt != JSON_NONE && !json_is(d, prompt, JSON_STRING)) why = "\"prompt\" must be a string";
    else if (prompt != JSON_NONE) json_decode_string(d, prompt, &text);
    else if (!json_is(d, messages, JSON_ARRAY)) why = "\"messages\" must be a list";
    else why = take_messages(d, messages, l, &text);
    if (prompt != JSON_NONE) l->turns = 1;
    if (why == NULL && buf_len(&text) == 0 && !buf_failed(&text)) why = "the prompt is empty";
    char *copy = why == NULL && !buf_failed(&text) ? arena_dup(&o->arena, buf_get(&text)) : NULL;
    l->text = slice_of(copy, copy != NULL ? buf_len(&text) : 0);
    buf_deinit(&text);
    return why == NULL && copy == NULL ? "out of memory" : why;
}

/* The decoded string at n into name; false: it is none, or empty, or too long. */
static bool read_name(const struct json_doc *d, uint32_t n, struct buf *name) {
    buf_clear(name);
    if (!json_is(d, n, JSON_STRING)) return false;
    json_decode_string(d, n, name);
    return buf_len(name) > 0 && buf_len(name) < OUTCOMES_NAME;
}

static const char *take_mark(const struct json_doc *d, uint32_t value, struct outcome_mark *mark) {
    if (!json_is(d, value, JSON_OBJECT)) return "a model's value must be {\"quality\": 0 to 1, \"cost\": USD}";
    uint32_t quality = json_get(d, value, SLICE("quality")), cost = json_get(d, value, SLICE("cost"));
    mark->quality = json_is(d, quality, JSON_NUMBER) ? (float)json_number(d, quality) : -1;
    if (!(mark->quality >= 0 && mark->quality <= 1)) return "\"quality\" must be a number from 0 to 1";
    if (cost != JSON_NONE && !json_is(d, cost, JSON_NUMBER)) return "\"cost\" must be a number of USD";
    mark->cost = cost != JSON_NONE ? (float)json_number(d, cost) : 0;
    if (!(mark->cost >= 0 && mark->cost < 1e6f)) return "\"cost\" must be a number of USD, 0 or more";
    mark->known = true;
    return NULL;
}

static const char *take_models(struct outcomes *o, const struct json_doc *d, uint32_t models, struct outcome *l) {
    if (!json_is(d, models, JSON_OBJECT))
        return "\"models\" must be {\"NAME\": {\"quality\": 0 to 1, \"cost\": USD}, ...}";
    l->marks = arena_alloc(&o->arena, OUTCOMES_MODELS * sizeof(*l->marks));
    if (l->marks == NULL) return "out of memory";
    memset(l->marks, 0, OUTCOMES_MODELS * sizeof(*l->marks));
    const char *why = NULL;
    struct buf name;
    buf_init(&name, 0);
    for (uint32_t key = json_first(d, models); why == NULL && key != JSON_NONE;) {
        uint32_t value = json_next(d, models, key);
        if (!read_name(d, key, &name)) why = "the name of a model must have 1 to 63 bytes";
        uint32_t at = why == NULL ? number_of(o->model, &o->models, OUTCOMES_MODELS, buf_get(&name)) : 0;
        if (at == OUTCOMES_NONE) why = "has a 17th model; 16 is the most of a file";
        if (why == NULL) why = take_mark(d, value, &l->marks[at]);
        key = json_next(d, models, value);
    }
    buf_deinit(&name);
    return why;
}

static const char *take_label(struct outcomes *o, const struct json_doc *d, uint32_t label, struct outcome *l) {
    const char *why = NULL;
    struct buf name;
    if (json_is(d, label, JSON_NULL)) return NULL;
    buf_init(&name, 0);
    if (!read_name(d, label, &name)) why = "\"label\" must be a name of 1 to 63 bytes, or null: none of them";
    else l->label = number_of(o->label, &o->labels, OUTCOMES_LABELS, buf_get(&name));
    if (why == NULL && l->label == OUTCOMES_NONE) why = "has a 65th label; 64 is the most of a file";
    buf_deinit(&name);
    return why;
}

static const char *take_group(struct outcomes *o, const struct json_doc *d, struct outcome *l) {
    uint32_t n = json_get(d, 0, SLICE("group"));
    if (n == JSON_NONE) return NULL;
    if (!json_is(d, n, JSON_STRING) && !json_is(d, n, JSON_NUMBER)) return "\"group\" must be a string or a number";
    const char *why = NULL;
    struct buf name;
    buf_init(&name, 0);
    if (json_is(d, n, JSON_STRING)) json_decode_string(d, n, &name);
    else buf_slice(&name, json_raw(d, n));
    if (buf_failed(&name) || !find_group(o, buf_get(&name), &l->group)) why = "out of memory";
    buf_deinit(&name);
    o->grouped = true;
    return why;
}

/* -- Lines ------------------------------------------------------------------------------------- */

static const char *take_object(struct outcomes *o, const struct json_doc *d) {
    struct outcome l = { .group = OUTCOMES_NONE, .label = OUTCOMES_NONE };
    uint32_t models = json_get(d, 0, SLICE("models")), label = json_get(d, 0, SLICE("label"));
    if ((models == JSON_NONE) == (label == JSON_NONE)) return models == JSON_NONE ? wanted
                                                           : "has \"models\" and \"label\": leave one out";
    enum outcomes_kind kind = models != JSON_NONE ? OUTCOMES_OF_MODELS : OUTCOMES_OF_LABELS;
    if (o->kind != OUTCOMES_UNKNOWN && o->kind != kind)
        return "has \"models\" where others have a \"label\", or the other way round; a file has one kind";
    o->kind = kind;
    const char *why = take_text(o, d, &l);
    if (why == NULL) why = models != JSON_NONE ? take_models(o, d, models, &l) : take_label(o, d, label, &l);
    if (why == NULL) why = take_group(o, d, &l);
    if (why != NULL) return why;
    if (!mem_grow((void **)&o->list, o->count, &o->cap, sizeof(*o->list))) return "out of memory";
    o->list[o->count++] = l;
    return NULL;
}

static int say(const struct outcomes *o, unsigned line, const char *what) {
    if (line > 0) fprintf(stderr, "%s: %s:%u: %s\n", o->command, o->file, line, what);
    else fprintf(stderr, "%s: %s: %s\n", o->command, o->file, what);
    return 1;
}

static int take_line(struct outcomes *o, struct slice line, unsigned number) {
    struct json_doc doc = { .text = line };
    struct json_error bad;
    char message[200];
    int rc = json_parse(&doc, line, &bad);
    const char *why;
    if (rc == PERILUNE_ERR_NOMEM) {
        why = "out of memory";
    } else if (rc != 0) {
        snprintf(message, sizeof(message), "is no JSON: %s at byte %zu", bad.message, bad.offset + 1);
        why = message;
    } else {
        why = json_is(&doc, 0, JSON_OBJECT) ? take_object(o, &doc) : wanted;
    }
    json_deinit(&doc);
    return why == NULL ? 0 : say(o, number, why);
}

static int take_lines(struct outcomes *o, struct slice rest) {
    rest = json_without_bom(rest);
    for (unsigned number = 1; rest.len > 0; number++) {
        const char *end = memchr(rest.ptr, '\n', rest.len);
        size_t len = end != NULL ? (size_t)(end - rest.ptr) : rest.len;
        struct slice line = slice_of(rest.ptr, len);
        rest = end != NULL ? slice_of(end + 1, rest.len - len - 1) : slice_of(NULL, 0);
        if (line.len > 0 && line.ptr[line.len - 1] == '\r') line.len--;
        if (slice_trim(line).len > 0 && take_line(o, line, number) != 0) return 1;
    }
    return 0;
}

static int read_file(const struct outcomes *o, struct buf *to) {
    char text[FILES_WHY];
    const char *why = files_read(o->file, to, text);
    return why != NULL ? say(o, 0, why) : 0;
}

int outcomes_read(struct outcomes *o, const char *command, const char *file) {
    struct buf bytes;
    *o = (struct outcomes){ .command = command, .file = file };
    arena_init(&o->arena);
    buf_init(&bytes, MAX_FILE);
    int rc = read_file(o, &bytes);
    if (rc == 0) rc = take_lines(o, buf_get(&bytes));
    buf_deinit(&bytes);
    if (rc == 0 && o->count == 0) rc = say(o, 0, "is empty");
    o->groups = o->named;
    for (unsigned i = 0; rc == 0 && i < o->count; i++)
        if (o->list[i].group == OUTCOMES_NONE) o->list[i].group = o->groups++;
    return rc;
}

void outcomes_deinit(struct outcomes *o) {
    mem_free(o->list);
    mem_free(o->places);
    arena_deinit(&o->arena);
}
