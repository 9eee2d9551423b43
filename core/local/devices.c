/* devices.c -- what of a model goes into the memory of GPUs.
 *
 *     layers   0 1 2 3 4 5 6 7 8 9 ... output        auto: as many as fit what is free, but for a margin
 *              [ CUDA0   ][ CUDA1  ][ processor ]     tensor_split: which share of them each GPU gets
 *
 * A layer takes its weights and its keys and values of all positions; layers are taken for equally large, which they
 * nearly are.  The margin is for what the library computes in and for what others on the machine take meanwhile: half
 * a gigabyte and a sixteenth of the card.  A number of layers that was asked for is taken at its word.
 *
 * A machine without a GPU, or without the backend for it, computes with its processor: a configuration that was made
 * for a GPU serves on, slower, and the note says so.  A GPU that is named wrongly while others are there is an error.
 *
 * A context that this machine could never hold is refused before the library sees it, which makes its tables of
 * positions first and says so afterwards: with a thousand million of them it took a minute.
 *
 * What it does not do: talk to the library.  It gets a list and returns one, so it is tested without a GPU. */
#include "local/devices.h"

#include <stdio.h>
#include <string.h>

#include "include/perilune.h"

#define MARGIN       (UINT64_C(512) << 20)
#define MARGIN_SHARE 16

struct chosen {
    const struct device *device[DEVICES_USED];
    unsigned count;
};

static int bad(char *why, size_t size, const char *fmt, const char *what, const char *known) {
    snprintf(why, size, fmt, what, known);
    return PERILUNE_ERR_ENGINE;
}

/* -- Which ------------------------------------------------------------------------------------- */

static const struct device *find(const struct device *all, unsigned n, const char *name, size_t len) {
    for (unsigned i = 0; i < n; i++)
        if (all[i].is_gpu && strlen(all[i].name) == len && memcmp(all[i].name, name, len) == 0) return &all[i];
    return NULL;
}

static void list_gpus(const struct device *all, unsigned n, char *out, size_t size) {
    size_t len = 0;
    out[0] = '\0';
    for (unsigned i = 0; i < n && len < size; i++)
        if (all[i].is_gpu) len += (size_t)snprintf(out + len, size - len, "%s%s", len ? ", " : "", all[i].name);
}

/* "CUDA0,CUDA1": in this order. */
static int choose_named(const struct device *all, unsigned n, const char *names, struct chosen *out, char *why,
                        size_t size) {
    char known[200], name[64];
    list_gpus(all, n, known, sizeof(known));
    for (const char *at = names; *at != '\0';) {
        size_t len = strcspn(at, ",");
        const struct device *d = find(all, n, at, len);
        snprintf(name, sizeof(name), "%.*s", (int)(len < 60 ? len : 60), at);
        if (d == NULL) return bad(why, size, "engine.device: there is no GPU '%s'; there are: %s", name, known);
        for (unsigned i = 0; i < out->count; i++)
            if (out->device[i] == d) return bad(why, size, "engine.device names '%s' twice%s", name, "");
        if (out->count == DEVICES_USED) return bad(why, size, "engine.device names too many GPUs%s%s", "", "");
        out->device[out->count++] = d;
        at += len + (at[len] == ',');
    }
    return 0;
}

static int choose(const struct device *all, unsigned n, const char *names, struct chosen *out, char *why, size_t size) {
    unsigned gpus = 0;
    out->count = 0;
    for (unsigned i = 0; i < n; i++) gpus += all[i].is_gpu;
    if (gpus == 0) return 0;
    if (names != NULL) return choose_named(all, n, names, out, why, size);
    for (unsigned i = 0; i < n && out->count < DEVICES_USED; i++)
        if (all[i].is_gpu) out->device[out->count++] = &all[i];
    return 0;
}

/* -- How many layers ------------------------------------------------------------------------------ */

static uint64_t usable(const struct device *d) {
    uint64_t margin = MARGIN > d->total / MARGIN_SHARE ? MARGIN : d->total / MARGIN_SHARE;
    return d->free > margin ? d->free - margin : 0;
}

/* Bytes that may be put on all of them together, shared as asked. */
static double room_of(const struct chosen *c, const struct device_plan *p, bool shared) {
    double sum = 0, shares = 0, least = -1;
    for (unsigned i = 0; i < c->count; i++) shares += (double)p->split[i];
    for (unsigned i = 0; i < c->count; i++) {
        double room = (double)usable(c->device[i]);
        sum += room;
        if (!shared || p->split[i] <= 0) continue;
        double all = room * shares / (double)p->split[i]; /* with this one full */
        if (least < 0 || all < least) least = all;
    }
    return shared && least >= 0 ? least : sum;
}

static uint64_t fitting(const struct chosen *c, const struct device_plan *p, bool shared,
                        const struct device_need *need) {
    double each = ((double)need->weights + (double)need->memory) / (double)(need->layers + 1);
    double fits = each > 0 ? room_of(c, p, shared) / each : 0;
    return fits >= (double)(need->layers + 1) ? need->layers + 1 : (uint64_t)fits;
}

/* -- What was decided --------------------------------------------------------------------------------- */

static double gib(uint64_t bytes) { return (double)bytes / (1 << 30); }

static void note_layers(struct device_plan *p, const struct chosen *c, const struct device_need *need, bool is_auto) {
    uint64_t free_ = 0;
    char names[120];
    size_t len = 0;
    names[0] = '\0';
    for (unsigned i = 0; i < c->count; i++) {
        free_ += c->device[i]->free;
        if (len < sizeof(names))
            len += (size_t)snprintf(names + len, sizeof(names) - len, "%s%s", i ? ", " : "", c->device[i]->name);
    }
    snprintf(p->note, sizeof(p->note), "%d of %llu layers are on %s (%s; they take %.1f GiB with their context, of "
             "%.1f GiB that were free)", p->layers, (unsigned long long)(need->layers + 1), names,
             is_auto ? "as many as fit" : "as asked",
             gib((need->weights + need->memory) / (need->layers + 1)) * p->layers, gib(free_));
}

static void use_processor(struct device_plan *p, const char *note) {
    p->devices[0] = NULL;
    p->count = 0;
    p->layers = 0;
    snprintf(p->note, sizeof(p->note), "%s", note);
}

static int share(const struct perilune_engine_options *o, const struct chosen *c, struct device_plan *p, char *why,
                 size_t size) {
    if (o->split_count == 0) return 0;
    if (o->split_count != c->count) {
        snprintf(why, size, "engine.tensor_split has %u shares for %u GPUs: say one for each, or name the GPUs "
                 "(engine.device)", o->split_count, c->count);
        return PERILUNE_ERR_ENGINE;
    }
    memcpy(p->split, o->split, c->count * sizeof(*p->split));
    return 0;
}

int devices_plan(const struct device *all, unsigned n, const struct perilune_engine_options *o,
                 const struct device_need *need, struct device_plan *out, char *why, size_t why_size) {
    struct chosen c;
    bool is_auto = o->gpu_layers < 0, asked = o->gpu_layers > 0 || o->device != NULL || o->split_count > 0;
    *out = (struct device_plan){ .layers = 0 };
    if (o->gpu_layers == 0) return 0;
    int rc = choose(all, n, o->device, &c, why, why_size);
    if (rc != 0) return rc;
    if (c.count == 0) {
        use_processor(out, asked ? "there is no GPU here, or no backend for it beside the library "
                                   "(libggml-cuda.so): the processor computes this model" : "");
        return 0;
    }
    if ((rc = share(o, &c, out, why, why_size)) != 0) return rc;
    uint64_t layers = is_auto ? fitting(&c, out, o->split_count > 0, need) : (uint64_t)o->gpu_layers;
    if (layers == 0) {
        use_processor(out, "no layer fits what is free of the GPU's memory: the processor computes this model");
        return 0;
    }
    for (unsigned i = 0; i < c.count; i++) out->devices[i] = c.device[i]->handle;
    out->count = c.count;
    out->layers = (int)(layers < need->layers + 1 ? layers : need->layers + 1);
    note_layers(out, &c, need, is_auto);
    return 0;
}

bool devices_could_hold(const struct device *all, unsigned n, double processor, uint64_t cells, double bytes) {
    enum { POSITION = 40, /* bytes that the library has for each, in the processor's memory */
           WINDOW = 8 };  /* layers with a window keep less than what was counted; an eighth is the least */
    double there = processor;
    if (processor <= 0) return true; /* nobody knows */
    for (unsigned i = 0; i < n; i++) there += all[i].is_gpu ? (double)all[i].total : 0;
    return (double)cells * POSITION <= processor && bytes / WINDOW <= there;
}
