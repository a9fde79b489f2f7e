# Silhouette's iRule on a BIG-IP, with records encrypted on their way to the collector: the AS3 declaration as3/shared.json, with the
# values of this place. The provider's own resource for server SSL profiles cannot say which name the collector's certificate must have;
# AS3 can. It owns what AS3 has in /Common/Shared: who declares objects there already puts these beside them instead.
#
# The folder lies in the package beside as3/. Virtual servers get the rule where they are declared, behind their own:
#
#   irules = concat(local.rules_of_mine, [module.silhouette.rule])
#
# Terraform does not see what those other rules do: where one inspects bodies (HTTP::collect, HTTP_REQUEST_DATA or HTTP_RESPONSE_DATA in
# its text), settings have to say collect = "off", or a slow client gets past that rule. f5.md, "Other rules that inspect bodies".

terraform {
  required_providers {
    bigip = {
      source  = "F5Networks/bigip"
      version = ">= 1.16.0, < 2.0.0"
    }
  }
}

variable "collector" {
  description = "Addresses of the collector's hsl_tls_listen."
  type        = list(string)
}

variable "collector_port" {
  description = "Its port."
  type        = number
  default     = 5141
}

variable "collector_name" {
  description = "The host in the collector's certificate."
  type        = string
}

variable "key_id" {
  description = "The name the key was created under at the collector."
  type        = string
}

variable "key" {
  description = "What silhouette-collector hsl-key create printed."
  type        = string
  sensitive   = true
}

variable "settings" {
  description = "Other settings of the rule, by name; f5.md has them all."
  type        = map(string)
  default     = {}

  validation {
    condition     = lookup(var.settings, "transport", "tcp") == "tcp"
    error_message = "Records by UDP cannot be encrypted: leave transport out, or use the folder plain."
  }
}

locals {
  request = jsondecode(file("${path.module}/../../as3/shared.json"))
  shared  = local.request.declaration.Common.Shared

  settings = merge(var.settings, {
    enabled = lookup(var.settings, "enabled", "1")
    key     = var.key
    key_id  = var.key_id
    pool    = "/Common/Shared/silhouette_log"
  })

  declared = merge(local.shared, {
    silhouette_settings = merge(local.shared.silhouette_settings, {
      records = [for name, value in local.settings : { key = name, value = value }]
    })
    silhouette_collector = merge(local.shared.silhouette_collector, {
      members = [{ servicePort = var.collector_port, serverAddresses = var.collector, shareNodes = true }]
    })
    silhouette_tls = merge(local.shared.silhouette_tls, {
      serverName = var.collector_name
      sendSNI    = var.collector_name
    })
  })
}

resource "bigip_as3" "silhouette" {
  as3_json = jsonencode(merge(local.request, {
    declaration = merge(local.request.declaration, {
      Common = merge(local.request.declaration.Common, { Shared = local.declared })
    })
  }))
}

output "rule" {
  description = "For the irules of virtual servers, behind their own."
  value       = "/Common/Shared/silhouette"
  depends_on  = [bigip_as3.silhouette]
}
