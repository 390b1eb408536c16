/* Days since 1 March of the year 0 in the Gregorian calendar, and the day of the week (0: Sunday). */
#include "firmware.h"

int32_t day_number(int16_t year, uint8_t month, uint8_t day) {
    int32_t months = (month + 9) % 12, years = year - (month < 3);
    return years * 365 + years / 4 - years / 100 + years / 400 + (months * 306 + 5) / 10 + day - 1;
}

uint8_t weekday(int16_t year, uint8_t month, uint8_t day) {
    return (uint8_t)((day_number(year, month, day) + 3) % 7);
}
