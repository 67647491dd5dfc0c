/* The error that a call into app_python3 leaves behind in Python. */
#ifndef KB_KAMAILIO_GLUE_PYTHON_ERROR_H
#define KB_KAMAILIO_GLUE_PYTHON_ERROR_H

#include <stdbool.h>

/* After a call with a negative result: clears Python's error, and returns true when that error says that the function
 * does not exist. The engine takes the return value of a function for an integer. It leaves Python's error set when the
 * value is not an integer (a function that returns nothing returns None) and when the function does not exist. The next
 * function that the engine calls would then fail at its first operation. */
bool kb_python_error_is_missing_function(void);

#endif
