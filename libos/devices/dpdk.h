/* What the C files of the DPDK device share; dpdk.py has the whole picture. */
#ifndef CATFLAP_DPDK_H
#define CATFLAP_DPDK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define EXPORT __attribute__((visibility("default")))

/* Functions here are called by address: up to three words, and an int that is -errno where something failed. */
int dpdk_aside(int (*work)(void *), void *argument);

/* No thread is in a driver's data path between these two, and none enters it. */
void dpdk_hold(void);
void dpdk_release(void);

/* It starts, and no driver does yet: it sleeps to measure the clock. */
extern bool dpdk_measures;

#endif
