/* test_devices.c -- what goes onto GPUs, decided over lists of devices that no machine here has. */
#include "unit.h"

#include <string.h>

#include "include/perilune.h"
#include "local/devices.h"

#define GIB (UINT64_C(1) << 30)

static int cpu, a, b; /* whose addresses are handles */
static char why[300];

static const struct device none[] = { { &cpu, "CPU", false, 8 * GIB, 16 * GIB } };
static const struct device two[] = { { &a, "CUDA0", true, 20 * GIB, 24 * GIB }, { &b, "CUDA1", true, 9 * GIB, 16 * GIB },
                                     { &cpu, "CPU", false, 8 * GIB, 16 * GIB } };
/* 33 parts of one gigabyte. */
static const struct device_need need = { .layers = 32, .weights = 29 * GIB, .memory = 4 * GIB };

static int plan(const struct device *all, unsigned n, struct perilune_engine_options o, struct device_plan *out) {
    why[0] = '\0';
    return devices_plan(all, n, &o, &need, out, why, sizeof(why));
}

TEST(as_many_layers_as_fit_but_for_a_margin) {
    struct device_plan p;
    CHECK_INT(plan(two, 3, (struct perilune_engine_options){ .gpu_layers = -1 }, &p), 0);
    CHECK_INT(p.layers, 26); /* 20 - 1.5 and 9 - 1 are free */
    CHECK(p.count == 2 && p.devices[0] == &a && p.devices[1] == &b && p.devices[2] == NULL);
    NOTE("%s", p.note);
    CHECK(strstr(p.note, "26 of 33 layers are on CUDA0, CUDA1") != NULL && strstr(p.note, "as many as fit") != NULL);
    struct device large = { &a, "CUDA0", true, 80 * GIB, 80 * GIB };
    CHECK_INT(plan(&large, 1, (struct perilune_engine_options){ .gpu_layers = -1 }, &p), 0);
    CHECK_INT(p.layers, 33);
    struct device full = { &a, "CUDA0", true, GIB / 4, 24 * GIB };
    CHECK_INT(plan(&full, 1, (struct perilune_engine_options){ .gpu_layers = -1 }, &p), 0);
    CHECK(p.layers == 0 && p.count == 0 && strstr(p.note, "no layer fits") != NULL);
}

TEST(shares_bound_what_fits) {
    struct device_plan p;
    const float even[] = { 1, 1 }, first[] = { 1, 0 }, three[] = { 1, 1, 1 };
    CHECK_INT(plan(two, 3, (struct perilune_engine_options){ .gpu_layers = -1, .split = even, .split_count = 2 }, &p), 0);
    CHECK_INT(p.layers, 16); /* eight on the smaller one */
    CHECK(p.split[0] == 1 && p.split[1] == 1);
    CHECK_INT(plan(two, 3, (struct perilune_engine_options){ .gpu_layers = -1, .split = first, .split_count = 2 }, &p), 0);
    CHECK_INT(p.layers, 18);
    CHECK_INT(plan(two, 3, (struct perilune_engine_options){ .gpu_layers = -1, .split = three, .split_count = 3 }, &p),
              PERILUNE_ERR_ENGINE);
    CHECK(strstr(why, "engine.tensor_split has 3 shares for 2 GPUs") != NULL);
}

TEST(what_is_asked_for_is_taken_at_its_word) {
    struct device_plan p;
    CHECK_INT(plan(two, 3, (struct perilune_engine_options){ .gpu_layers = 7, .device = "CUDA1" }, &p), 0);
    CHECK(p.layers == 7 && p.count == 1 && p.devices[0] == &b && strstr(p.note, "as asked") != NULL);
    CHECK_INT(plan(two, 3, (struct perilune_engine_options){ .gpu_layers = 999, .device = "CUDA1,CUDA0" }, &p), 0);
    CHECK(p.layers == 33 && p.devices[0] == &b && p.devices[1] == &a);
    CHECK_INT(plan(two, 3, (struct perilune_engine_options){ .gpu_layers = 0 }, &p), 0);
    CHECK(p.layers == 0 && p.devices[0] == NULL && p.note[0] == '\0');
    CHECK_INT(plan(two, 3, (struct perilune_engine_options){ .gpu_layers = -1, .device = "CUDA7" }, &p), PERILUNE_ERR_ENGINE);
    CHECK(strstr(why, "no GPU 'CUDA7'; there are: CUDA0, CUDA1") != NULL);
    CHECK_INT(plan(two, 3, (struct perilune_engine_options){ .gpu_layers = -1, .device = "CPU" }, &p), PERILUNE_ERR_ENGINE);
    CHECK_INT(plan(two, 3, (struct perilune_engine_options){ .gpu_layers = 1, .device = "CUDA0,CUDA0" }, &p), PERILUNE_ERR_ENGINE);
    CHECK(strstr(why, "twice") != NULL);
}

TEST(without_a_gpu_the_processor_does_it_and_says_so_where_one_was_wanted) {
    struct device_plan p;
    const float even[] = { 1, 1 };
    const struct perilune_engine_options wants[] = { { .gpu_layers = 99 }, { .gpu_layers = -1, .device = "CUDA0" },
                                                     { .gpu_layers = -1, .split = even, .split_count = 2 } };
    for (size_t i = 0; i < sizeof(wants) / sizeof(*wants); i++) {
        CHECK_INT(plan(none, 1, wants[i], &p), 0);
        CHECK(p.layers == 0 && p.count == 0 && strstr(p.note, "no GPU here") != NULL);
    }
    CHECK_INT(plan(none, 1, (struct perilune_engine_options){ .gpu_layers = -1 }, &p), 0);
    CHECK(p.layers == 0 && p.note[0] == '\0');
    CHECK_INT(plan(NULL, 0, (struct perilune_engine_options){ .gpu_layers = -1 }, &p), 0);
}

TEST(many_gpus_and_odd_numbers_stay_within_their_limits) {
    struct device many[DEVICES_MAX];
    struct device_plan p;
    char names[1000] = "";
    for (unsigned i = 0; i < DEVICES_MAX; i++) {
        many[i] = (struct device){ &a, "CUDA0", true, UINT64_MAX, 0 };
        strcat(names, i ? ",CUDA0" : "CUDA0");
    }
    CHECK_INT(plan(many, DEVICES_MAX, (struct perilune_engine_options){ .gpu_layers = -1 }, &p), 0);
    CHECK(p.count == DEVICES_USED && p.layers == 33);
    CHECK(plan(many, DEVICES_MAX, (struct perilune_engine_options){ .gpu_layers = 1, .device = names }, &p) != 0);
    struct device_need nothing = { 0, 0, 0 };
    CHECK_INT(devices_plan(two, 3, &(struct perilune_engine_options){ .gpu_layers = -1 }, &nothing, &p, why, sizeof(why)), 0);
    CHECK_INT(p.layers, 0);
}

TEST(a_context_that_no_memory_here_could_hold_is_known) {
    const double gib = (double)GIB;
    CHECK(devices_could_hold(two, 3, 16 * gib, 8192, 4 * gib));
    CHECK(devices_could_hold(two, 3, 16 * gib, 1u << 20, 8 * 56 * gib)); /* a window may make an eighth of it */
    CHECK(!devices_could_hold(two, 3, 16 * gib, 1u << 20, 8 * 57 * gib));
    CHECK(!devices_could_hold(none, 1, 16 * gib, 1u << 20, 8 * 17 * gib));
    CHECK(!devices_could_hold(two, 3, 16 * gib, 1u << 30, 0)); /* the tables alone */
    CHECK(devices_could_hold(none, 1, 0, 1u << 30, 1e30));
}
