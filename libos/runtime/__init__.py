"""What every libOS stands on: scheduler, timers, clock, qtokens, heap, instrument hooks. Has never heard of TCP."""
