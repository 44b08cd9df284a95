package config

import "reflect"

// NeedRestart lists the fields that differ and that a running tallyman cannot change:
// those whose tag reload is restart.
func NeedRestart(before, after Config) (fields []string) {
	a, b := reflect.ValueOf(before), reflect.ValueOf(after)
	for i := range a.NumField() {
		tag := a.Type().Field(i).Tag
		if tag.Get("reload") == "restart" && !reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
			fields = append(fields, tag.Get("yaml"))
		}
	}
	return fields
}
