#include "kamailio/glue/message_pv.h"

#include "core/message.h"
#include "kamailio/glue/script.h"

int kb_message_pv_text(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value, struct kb_slice slice)
{
	str s = kb_str_from_slice(slice);
	return slice.p ? pv_get_strval(msg, parameter, value, &s) : pv_get_null(msg, parameter, value);
}

int kb_message_pv_entry(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value, struct kb_slice list)
{
	str wanted = parameter->pvn.u.isname.name.s;
	pv_value_t named;
	if (parameter->pvn.type == PV_NAME_PVAR) {
		if (pv_get_spec_name(msg, parameter, &named) < 0 || !(named.flags & PV_VAL_STR))
			return pv_get_null(msg, parameter, value);
		wanted = named.rs;
	}
	return kb_message_pv_text(msg, parameter, value, kb_headers_find(list, kb_str_to_slice(&wanted)));
}

int kb_message_pv_parse_name(pv_spec_t *spec, str *name)
{
	if (name->len > 0 && name->s[0] == PV_MARKER)
		return pv_parse_avp_name(spec, name);
	spec->pvp.pvn.type = PV_NAME_INTSTR;
	spec->pvp.pvn.u.isname.type = AVP_NAME_STR;
	spec->pvp.pvn.u.isname.name.s = *name;
	return name->len > 0 ? 0 : -1;
}
