#include "claunch.h"
int mlr_launch_version(void) { return 1; }
