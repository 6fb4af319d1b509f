#ifndef CLAUNCH_H
#define CLAUNCH_H
int mlr_launch_version(void);
#endif
