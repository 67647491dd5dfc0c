/* What a call into app_python3 leaves behind in Python. */
#ifndef KB_KAMAILIO_GLUE_PYTHON_ERROR_H
#define KB_KAMAILIO_GLUE_PYTHON_ERROR_H

#include <stdbool.h>

/* After a call that had a negative result. The engine takes what a function returns for an integer, and leaves Python's
 * error behind when it is none (a function that returns nothing gives None), as it does when there is no such function:
 * the next function that it calls would then fail at the first thing that it does. This takes the error away. True when
 * it says that there is no such function. */
bool kb_python_error_is_missing_function(void);

#endif
