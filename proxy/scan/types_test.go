package scan

import (
	"strings"
	"testing"
)

func TestParseRefusesWrongTypesAndValues(t *testing.T) {
	f := func(members, want string) {
		t.Helper()
		if got := outcome(`{` + members + `}`); got != want {
			t.Errorf("%.100s\n got %s\nwant %s", members, got, want)
		}
	}
	const ok = `"model":"m","messages":[{"role":"user"}]`
	f(``, "missing_field model@0: is required")
	f(`"messages":[{"role":"user"}]`, "missing_field model@0: is required")
	f(`"model":"m"`, "missing_field messages@0: is required")
	f(`"model":null,"messages":[{"role":"user"}]`, "invalid_type model@9: must be a string")
	f(`"model":["m"]`, "invalid_type model@9: must be a string")
	f(`"model":""`, "invalid_value model@9: must not be empty")
	f(`"model":"`+strings.Repeat("m", 256)+`","messages":[{"role":"user"}]`, strings.Repeat("m", 256))
	f(`"model":"`+strings.Repeat("m", 257)+`"`, "invalid_value model@9: must not be longer than 256 bytes")
	f(`"model":"`+strings.Repeat(`\u006d`, 257)+`"`, "invalid_value model@9: must not be longer than 256 bytes")
	f(`"model":"`+strings.Repeat("m", 1<<20)+`"`, "invalid_value model@9: must not be longer than 256 bytes")

	f(`"messages":{}`, "invalid_type messages@12: must be an array")
	f(`"messages":null`, "invalid_type messages@12: must be an array")
	f(`"messages":[]`, "invalid_value messages@12: must not be empty")
	f(`"messages":["hi"]`, "invalid_type messages[0]@13: must be an object")
	f(`"messages":[{"role":"user"},null]`, "invalid_type messages[1]@29: must be an object")
	f(`"messages":[{}]`, "missing_field messages[0].role@13: is required")
	f(`"messages":[{"role":null}]`, "invalid_type messages[0].role@21: must be a string")
	f(`"messages":[{"role":"user","content":7}]`, "invalid_type messages[0].content@38: must be an array, a string or null")
	f(`"messages":[{"role":"user","content":{}}]`, "invalid_type messages[0].content@38: must be an array, a string or null")
	f(`"messages":[{"role":"user","content":["hi"]}]`, "invalid_type messages[0].content[0]@39: must be an object")

	part := func(part, want string) {
		t.Helper()
		f(`"messages":[{"role":"user","content":[`+part+`]}]`, want)
	}
	part(`{}`, "missing_field messages[0].content[0].type@39: is required")
	part(`{"type":7}`, "invalid_type messages[0].content[0].type@47: must be a string")
	part(`{"type":"text"}`, "missing_field messages[0].content[0].text@39: is required")
	part(`{"type":"text","text":null}`, "missing_field messages[0].content[0].text@39: is required")
	part(`{"type":"text","text":["a"]}`, "invalid_type messages[0].content[0].text@61: must be a string or null")
	part(`{"type":"image_url"}`, "missing_field messages[0].content[0].image_url@39: is required")
	part(`{"type":"image_url","image_url":"http://x"}`, "invalid_type messages[0].content[0].image_url@71: must be an object or null")
	part(`{"type":"image_url","image_url":{}}`, "missing_field messages[0].content[0].image_url.url@71: is required")
	part(`{"type":"image_url","image_url":{"url":1}}`, "invalid_type messages[0].content[0].image_url.url@78: must be a string")
	part(`{"type":"input_audio"}`, "missing_field messages[0].content[0].input_audio@39: is required")
	part(`{"type":"input_audio","input_audio":{"data":"x"}}`, "missing_field messages[0].content[0].input_audio.format@75: is required")
	part(`{"type":"input_audio","input_audio":{"format":"wav"}}`, "missing_field messages[0].content[0].input_audio.data@75: is required")

	f(ok+`,"stream":"true"`, "invalid_type stream@51: must be a boolean or null")
	f(ok+`,"stream":1`, "invalid_type stream@51: must be a boolean or null")
	f(ok+`,"stream_options":7`, "invalid_type stream_options@59: must be an object or null")
	f(ok+`,"stream_options":[]`, "invalid_type stream_options@59: must be an object or null")
	f(ok+`,"stream_options":{"include_usage":"true"}`, "invalid_type stream_options.include_usage@76: must be a boolean or null")
	f(ok+`,"n":"2"`, "invalid_type n@46: must be an integer or null")
	f(ok+`,"n":2.0`, "invalid_type n@46: must be an integer, written without fraction and exponent")
	f(ok+`,"n":1e1`, "invalid_type n@46: must be an integer, written without fraction and exponent")
	f(ok+`,"n":true`, "invalid_type n@46: must be an integer or null")
	f(ok+`,"n":0`, "invalid_value n@46: must be between 1 and 128")
	f(ok+`,"n":-0`, "invalid_value n@46: must be between 1 and 128")
	f(ok+`,"n":-1`, "invalid_value n@46: must be between 1 and 128")
	f(ok+`,"n":129`, "invalid_value n@46: must be between 1 and 128")
	f(ok+`,"n":18446744073686646784`, "invalid_value n@46: must be between 1 and 128")
	f(ok+`,"max_tokens":0`, "invalid_value max_tokens@55: must be between 1 and 2147483647")
	f(ok+`,"max_tokens":2147483648`, "invalid_value max_tokens@55: must be between 1 and 2147483647")
	f(ok+`,"max_tokens":9223372036854775807`, "invalid_value max_tokens@55: must be between 1 and 2147483647")
	f(ok+`,"max_tokens":1e308`, "invalid_type max_tokens@55: must be an integer, written without fraction and exponent")
	f(ok+`,"max_tokens":100.0`, "invalid_type max_tokens@55: must be an integer, written without fraction and exponent")
	f(ok+`,"max_tokens":1e2`, "invalid_type max_tokens@55: must be an integer, written without fraction and exponent")
	f(ok+`,"seed":1e3`, "invalid_type seed@49: must be an integer, written without fraction and exponent")
	f(ok+`,"max_completion_tokens":"5"`, "invalid_type max_completion_tokens@66: must be an integer or null")
	f(ok+`,"stop":7`, "invalid_type stop@49: must be an array, a string or null")
	f(ok+`,"stop":["a",7]`, "invalid_type stop[1]@54: must be a string")
	f(ok+`,"temperature":"0.7"`, "invalid_type temperature@56: must be a number or null")
	f(ok+`,"top_k":1.5`, "invalid_type top_k@50: must be an integer, written without fraction and exponent")
	f(ok+`,"tools":{}`, "invalid_type tools@50: must be an array or null")
	f(ok+`,"tool_choice":[]`, "invalid_type tool_choice@56: must be an object, a string or null")
	f(ok+`,"response_format":"json"`, "invalid_type response_format@60: must be an object or null")
	f(ok+`,"response_format":{}`, "missing_field response_format.type@60: is required")
	f(ok+`,"response_format":{"type":null}`, "invalid_type response_format.type@68: must be a string")
	f(ok+`,"response_format":{"type":""}`, "invalid_value response_format.type@68: must be text, json_object or json_schema")
	f(ok+`,"response_format":{"type":"`+strings.Repeat("x", 1<<16)+`"}`, "invalid_value response_format.type@68: must be text, json_object or json_schema")

	// A fault of the document is not blamed on the field that it stands in.
	f(ok+`,"stream":tru`, "invalid_json @54: is not valid JSON: a character is out of place")
	part(`{"type":"text","text":"`+"\xff"+`"}`, "invalid_json @62: is not valid JSON: a string is not valid UTF-8")
	part(strings.Repeat(`{"type":"x"},`, 4096)+`{"type":"x"}`, "invalid_value messages[0].content[4096]@53287: is one of more than 4096 that are not text")
}
