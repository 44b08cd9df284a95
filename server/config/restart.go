package config

import "reflect"

// NeedRestart lists the fields that differ and that a running tallyman cannot change:
// those whose tag reload is restart. Of a group of fields it names those that differ.
func NeedRestart(before, after Config) (fields []string) {
	a, b := reflect.ValueOf(before), reflect.ValueOf(after)
	for i := range a.NumField() {
		if a.Type().Field(i).Tag.Get("reload") == "restart" {
			fields = append(fields, differing(a.Type().Field(i).Tag.Get("yaml"), a.Field(i), b.Field(i))...)
		}
	}
	return fields
}

// differing lists the fields in which two values of a field differ.
func differing(field string, a, b reflect.Value) (fields []string) {
	switch {
	case reflect.DeepEqual(a.Interface(), b.Interface()):
		return nil
	case a.Kind() != reflect.Struct:
		return []string{field}
	}
	for i := range a.NumField() {
		fields = append(fields, differing(field+"."+a.Type().Field(i).Tag.Get("yaml"), a.Field(i), b.Field(i))...)
	}
	return fields
}
