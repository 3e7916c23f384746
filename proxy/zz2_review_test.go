package proxy

import "tollgate/keys"

func specOther() keys.Spec { return keys.Spec{Tenant: "other"} }
