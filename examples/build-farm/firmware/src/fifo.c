/* A ring of bytes between an interrupt and the main loop. Its size is a power of two, so that the places wrap by themselves. */
#include "firmware.h"

bool fifo_put(struct fifo *queue, uint8_t byte) {
    if ((uint8_t)(queue->written - queue->read) == FIFO_SIZE) return false;
    queue->bytes[queue->written++ % FIFO_SIZE] = byte;
    return true;
}

bool fifo_get(struct fifo *queue, uint8_t *byte) {
    if (queue->written == queue->read) return false;
    *byte = queue->bytes[queue->read++ % FIFO_SIZE];
    return true;
}
