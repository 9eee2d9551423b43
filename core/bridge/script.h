/* script.h -- Lua programs that are run to their end: specs, commands. See script.c. */
#ifndef PERILUNE_BRIDGE_SCRIPT_H
#define PERILUNE_BRIDGE_SCRIPT_H

#include "bridge/bundle.h"
#include "bridge/state.h"

/* Both run in virtual time and without limits, on a state whose loop is virtual; what they
 * require is found from the bundle's place.  They return 0, or an error with a sentence in
 * err. */

/* perilune test: the bundle's file, a spec.  Output to stdout; adds up its tests. */
int script_run_spec(struct state *s, struct bundle *b, unsigned *passed, unsigned *failed, char *err, size_t errlen);

/* A command of the program that is written in Lua: require(module).run(argument), which
 * returns the exit status. */
int script_run_command(struct state *s, struct bundle *b, const char *module, struct slice argument, int *status,
                       char *err, size_t errlen);

#endif
