/* l_learn.c -- classifiers of prompts for policies: core.learn_open, learn_route, learn_label; core.intents_new,
 * intents_match.
 *
 *     a file of `perilune train` --> learn_open --> learn_route(text) -> loss, rank      (core/learn/model.c)
 *                                                   learn_label(text) -> label, sure
 *
 *     examples --embedded--> intents_new:  index of all, a centroid for each class
 *     a text --embedded--> the nearest NEIGHBOURS of the index, compared closely --> of each class the best
 *                      --> 0.75 of that + 0.25 of the centroid: the class's score; class 0 are the negatives
 *
 * A neighbour finds what was said almost so before, a centroid what all examples of a class have in common; short
 * greetings want the first, long questions the second.  A text whose best class is the negatives belongs to none.
 *
 * Both work on at most SEMANTIC_MAX_TEXT bytes (FEATURES_TEXT), so a call takes microseconds; a longer text is cut, for
 * what somebody wants stands in front.  Embedders are of this object alone, without counts of n-grams, which would
 * change while examples do not. */
#include <math.h>

#include "base/mem.h"
#include "bridge/lib.h"
#include "bridge/state.h"
#include "learn/model.h"
#include "semantic/embedding.h"
#include "semantic/normal.h"
#include "semantic/semantic.h"
#include "store/index.h"

#define LEARN_TYPE   "perilune.learn"
#define INTENTS_TYPE "perilune.intents"
#define EXAMPLES_MAX 2000
#define CLASSES_MAX  65 /* with that of negatives */
#define NEIGHBOURS   8
#define NEAR         0.75f /* what the nearest example counts against the centroid */

/* -- Models of files --------------------------------------------------------------------- */

struct lua_learn {
    struct model   *model;
    struct features features; /* scratch */
};

static struct lua_learn *to_learn(lua_State *L) { return luaL_checkudata(L, 1, LEARN_TYPE); }

static int l_learn_gc(lua_State *L) {
    struct lua_learn *l = to_learn(L);
    model_close(l->model);
    l->model = NULL;
    return 0;
}

/* core.learn_open(bytes) -> model | nil, what is wrong: the end of a sentence */
int l_learn_open(lua_State *L) {
    struct slice bytes;
    bytes.ptr = luaL_checklstring(L, 1, &bytes.len);
    lua_settop(L, 1);
    struct lua_learn *l = lua_newuserdata(L, sizeof(*l));
    l->model = NULL;
    luaL_getmetatable(L, LEARN_TYPE);
    lua_setmetatable(L, 2);
    lua_newtable(L);
    lua_pushvalue(L, 1); /* BORROWS: the model reads the string */
    lua_rawseti(L, 3, 1);
    lua_setfenv(L, 2);
    struct failure f;
    failure_init(&f);
    int rc = model_open(&l->model, bytes, &f);
    if (rc == 0) return 1;
    lua_pushnil(L);
    lua_pushstring(L, rc == PERILUNE_ERR_NOMEM ? "not enough memory" : f.message);
    failure_deinit(&f);
    return 2;
}

/* core.learn_about(model) -> "route" | "intent", { names } */
int l_learn_about(lua_State *L) {
    const struct lua_learn *l = to_learn(L);
    bool route = model_kind(l->model) == MODEL_ROUTE;
    lua_pushstring(L, route ? "route" : "intent");
    lua_newtable(L);
    for (unsigned i = 0; i < (route ? 2 : model_outputs(l->model)); i++) {
        lua_pushstring(L, model_name(l->model, i));
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 2;
}

static void read_features(lua_State *L, struct lua_learn *l) {
    struct slice text;
    text.ptr = luaL_checklstring(L, 2, &text.len);
    double turns = luaL_optnumber(L, 3, 1);
    features_read(&l->features, text, turns >= 1 && turns < 1e6 ? (unsigned)turns : 1);
}

/* core.learn_route(model, text, turns) -> quality that is expected to be lost without the big model, the share of
 * prompts that need it less */
int l_learn_route(lua_State *L) {
    struct lua_learn *l = to_learn(L);
    float scores[MODEL_OUTPUTS];
    read_features(L, l);
    model_scores(l->model, &l->features, scores);
    lua_pushnumber(L, model_value(l->model, 0, scores[0]));
    lua_pushnumber(L, model_rank(l->model, scores[0]));
    return 2;
}

/* core.learn_label(model, text, turns) -> the likeliest label, how sure it is */
int l_learn_label(lua_State *L) {
    struct lua_learn *l = to_learn(L);
    float scores[MODEL_OUTPUTS], most = -1;
    unsigned best = 0;
    read_features(L, l);
    model_scores(l->model, &l->features, scores);
    for (unsigned k = 0; k < model_outputs(l->model); k++) {
        float v = model_value(l->model, k, scores[k]);
        if (v <= most) continue;
        most = v;
        best = k;
    }
    lua_pushstring(L, model_name(l->model, best));
    lua_pushnumber(L, most);
    return 2;
}

/* -- Examples ------------------------------------------------------------------------------ */

struct example {
    unsigned             class;
    char                *normal;
    struct embedded_text embedded;
};

struct lua_intents {
    struct embedder *embedder;
    struct index    *index;
    struct example  *examples;
    float           *centroids; /* dims each, of length 1 */
    unsigned         count, classes, dims;
    struct buf       normal;    /* scratch */
    struct embedded_text asked; /* scratch */
};

static struct lua_intents *to_intents(lua_State *L) { return luaL_checkudata(L, 1, INTENTS_TYPE); }

static const struct hash128 part = { 1, 2 };

static void intents_deinit(struct lua_intents *n) {
    for (unsigned i = 0; i < n->count; i++) {
        embedded_text_deinit(&n->examples[i].embedded);
        mem_free(n->examples[i].normal);
    }
    mem_free(n->examples);
    mem_free(n->centroids);
    index_free(n->index);
    embedder_free(n->embedder);
    embedded_text_deinit(&n->asked);
    buf_deinit(&n->normal);
    n->examples = NULL;
    n->centroids = NULL;
    n->index = NULL;
    n->embedder = NULL;
    n->count = 0;
}

static int l_intents_gc(lua_State *L) {
    intents_deinit(to_intents(L));
    return 0;
}

static void make_normal(struct slice text, struct buf *out) {
    if (text.len > SEMANTIC_MAX_TEXT) text.len = utf8_valid_prefix(slice_of(text.ptr, SEMANTIC_MAX_TEXT));
    buf_clear(out);
    normal_write(text, out);
}

static int add_example(struct lua_intents *n, struct slice text, unsigned class) {
    struct example *e = &n->examples[n->count];
    *e = (struct example){ .class = class };
    embedded_text_init(&e->embedded);
    make_normal(text, &n->normal);
    e->normal = buf_failed(&n->normal) ? NULL : mem_dup(buf_get(&n->normal).ptr, buf_len(&n->normal));
    n->count++; /* from here on it is freed with the others */
    if (e->normal == NULL) return PERILUNE_ERR_NOMEM;
    int rc = embedder_embed(n->embedder, 1, slice_of(e->normal, buf_len(&n->normal)), &e->embedded);
    if (rc == 0) rc = index_add(n->index, part, (struct hash128){ n->count, 0 }, e->embedded.vector);
    if (rc == PERILUNE_ERR_INVAL) return 0; /* nothing but marks: it has no direction, and is never near */
    for (unsigned i = 0; rc == 0 && i < n->dims; i++) n->centroids[class * n->dims + i] += e->embedded.vector[i];
    return rc;
}

static void scale_centroids(struct lua_intents *n) {
    for (unsigned c = 0; c < n->classes; c++) {
        float *v = n->centroids + c * n->dims, sum = 0;
        for (unsigned i = 0; i < n->dims; i++) sum += v[i] * v[i];
        for (unsigned i = 0; sum > 0 && i < n->dims; i++) v[i] /= sqrtf(sum);
    }
}

static int intents_init(struct lua_intents *n, unsigned most, unsigned classes) {
    n->embedder = embedder_new(NULL, NULL);
    if (n->embedder == NULL) return PERILUNE_ERR_NOMEM;
    n->dims = embedder_dims(n->embedder);
    n->classes = classes;
    n->index = index_new(n->dims, (size_t)64 << 20);
    n->examples = mem_alloc((most + 1) * sizeof(*n->examples));
    n->centroids = mem_zalloc((size_t)classes * n->dims * sizeof(float));
    return n->index != NULL && n->examples != NULL && n->centroids != NULL ? 0 : PERILUNE_ERR_NOMEM;
}

/* core.intents_new(texts, classes, count) -> intents: classes[i] is that of texts[i], 0 .. count; 0: negatives */
int l_intents_new(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checktype(L, 2, LUA_TTABLE);
    unsigned most = (unsigned)lua_objlen(L, 1), classes = (unsigned)luaL_checkint(L, 3) + 1;
    luaL_argcheck(L, most <= EXAMPLES_MAX, 1, "over 2000 examples");
    luaL_argcheck(L, classes > 1 && classes <= CLASSES_MAX, 3, "1 to 64 intents");
    lua_settop(L, 3);
    struct lua_intents *n = lua_newuserdata(L, sizeof(*n));
    *n = (struct lua_intents){ .count = 0 };
    buf_init(&n->normal, 0);
    embedded_text_init(&n->asked);
    luaL_getmetatable(L, INTENTS_TYPE);
    lua_setmetatable(L, 4);
    int rc = intents_init(n, most, classes);
    for (unsigned i = 1; rc == 0 && i <= most; i++) {
        lua_rawgeti(L, 1, (int)i);
        lua_rawgeti(L, 2, (int)i);
        struct slice text;
        text.ptr = luaL_checklstring(L, -2, &text.len);
        unsigned class = (unsigned)luaL_checkint(L, -1);
        luaL_argcheck(L, class < classes, 2, "a class that there is not");
        rc = add_example(n, text, class);
        lua_pop(L, 2);
        state_tick(L);
    }
    if (rc != 0) return luaL_error(L, "not enough memory");
    scale_centroids(n);
    return 1;
}

static float product(const float *a, const float *b, unsigned n) {
    float sum = 0;
    for (unsigned i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

static unsigned match(struct lua_intents *n, float *score) {
    float best[CLASSES_MAX] = { 0 };
    struct index_hit hits[NEIGHBOURS];
    unsigned count = index_search(n->index, part, n->asked.vector, hits, NEIGHBOURS), winner = 0;
    for (unsigned i = 0; i < count; i++) {
        const struct example *e = &n->examples[hits[i].key.low - 1];
        float s = embedder_similarity(n->embedder, &n->asked, &e->embedded);
        if (s > best[e->class]) best[e->class] = s;
    }
    *score = 0;
    for (unsigned c = 0; c < n->classes; c++) {
        float centre = product(n->asked.vector, n->centroids + c * n->dims, n->dims);
        float s = best[c] >= 0.999f ? best[c] : NEAR * best[c] + (1 - NEAR) * (centre > 0 ? centre : 0);
        if (s <= *score) continue;
        *score = s;
        winner = c;
    }
    return winner;
}

/* core.intents_match(intents, text) -> class, score; class 0: a negative is nearest, or nothing is near */
int l_intents_match(lua_State *L) {
    struct lua_intents *n = to_intents(L);
    struct slice text;
    text.ptr = luaL_checklstring(L, 2, &text.len);
    make_normal(text, &n->normal);
    float score = 0;
    unsigned class = 0;
    bool failed = buf_failed(&n->normal) || embedder_embed(n->embedder, 1, buf_get(&n->normal), &n->asked) != 0;
    if (failed) return luaL_error(L, "not enough memory");
    if (n->count > 0) class = match(n, &score);
    lua_pushinteger(L, (lua_Integer)class);
    lua_pushnumber(L, score);
    return 2;
}

void learn_open_lua(lua_State *L) {
    lib_open_owned(L, LEARN_TYPE, l_learn_gc);
    lib_open_owned(L, INTENTS_TYPE, l_intents_gc);
}
