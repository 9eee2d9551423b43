/* run.h -- perilune.run() of the rock. See run.c. */
#ifndef PERILUNE_ROCK_RUN_H
#define PERILUNE_ROCK_RUN_H

#include "rock/rock.h"

int rock_l_run(lua_State *L); /* core.run() */
/* All that runs ends, and connections close, while there is still Lua. */
void rock_run_close(struct rock *r);
/* The rest, when the state is gone. */
void rock_run_free(struct rock *r);

#endif
