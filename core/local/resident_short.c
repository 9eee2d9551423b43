/* resident_short.c -- when there is no memory to compute with.
 *
 *     a step falls short --> half as many tokens --> ... --> one token: whose it is is told so, and the others go on
 *            ^                        |
 *            +--- twice as many <-----+  after CALM steps that went well, up to the whole batch
 *
 * What computing takes grows with the tokens of a step, and memory that was there when the model was loaded may be
 * somebody else's by now: of the machine, or of a GPU that others use.  Nothing has been lost when a step falls short,
 * so nobody has to begin anew; with less room, those who came first speak, and the others wait.
 *
 * Twice in a row for one token is more than a lack: then the model is made anew (resident_recover.c), which gives back
 * what it had. */
#include "include/perilune.h"
#include "local/resident_int.h"

#define CALM 64

uint32_t resident_room(const struct resident *r) {
    return r->step_most > 0 && r->step_most < r->facts->batch ? r->step_most : r->facts->batch;
}

void resident_fell_short(struct resident *r, uint32_t n, struct choice *only) {
    r->calm = 0;
    if (r->step_most == 0)
        resident_say(r, PERILUNE_LOG_WARN, "no memory for a step of %u tokens, of this machine or the GPU: steps of a "
                     "local model are smaller until there is", (unsigned)n);
    r->step_most = n > 1 ? n / 2 : 1;
    if (only == NULL) return;
    struct turn_event ev = resident_failure(TURN_MEMORY, "no memory to compute the answer with");
    resident_fail(r, only->talk, &ev);
    if (++r->alone < 2) return;
    r->alone = 0;
    resident_break(r);
}

void resident_went_well(struct resident *r) {
    r->alone = 0;
    if (r->step_most == 0 || ++r->calm < CALM) return;
    r->calm = 0;
    r->step_most *= 2;
    if (r->step_most >= r->facts->batch) r->step_most = 0;
}
