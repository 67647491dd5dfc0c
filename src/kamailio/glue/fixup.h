/* Fix-ups for the parameters of functions: how kamailio.cfg hands them over. kb_script_get() reads the values. */
#ifndef KB_KAMAILIO_GLUE_FIXUP_H
#define KB_KAMAILIO_GLUE_FIXUP_H

/* A string with pseudo-variables, or an expression, whose value may hold NUL bytes. */
int kb_fixup_text(void **parameter, int number);
int kb_fixup_text_free(void **parameter, int number);

/* The name of a pseudo-variable to write to. */
int kb_fixup_target(void **parameter, int number);
int kb_fixup_target_free(void **parameter, int number);

/* Both, for functions whose second or third parameter is a pseudo-variable to write to. */
int kb_fixup_text_target2(void **parameter, int number);
int kb_fixup_text_target2_free(void **parameter, int number);
int kb_fixup_text_target3(void **parameter, int number);
int kb_fixup_text_target3_free(void **parameter, int number);

#endif
