/* A binary heap of deadlines: the soonest is heap[0]. */
#include "firmware.h"

void heap_push(uint16_t *heap, uint8_t count, uint16_t deadline) {
    uint8_t at = count;
    for (; at && heap[(at - 1) / 2] > deadline; at = (uint8_t)(at - 1) / 2) heap[at] = heap[(at - 1) / 2];
    heap[at] = deadline;
}

uint16_t heap_pop(uint16_t *heap, uint8_t count) {
    uint16_t soonest = heap[0], moved = heap[--count];
    uint8_t at = 0;
    for (uint8_t child; (child = (uint8_t)(2 * at + 1)) < count; at = child) {
        if (child + 1 < count && heap[child + 1] < heap[child]) child++;
        if (heap[child] >= moved) break;
        heap[at] = heap[child];
    }
    heap[at] = moved;
    return soonest;
}
