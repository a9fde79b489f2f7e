# Silhouette's iRule on a BIG-IP whose collector is in the same private network. Provider F5Networks/bigip.
#
# The folder lies in the package beside silhouette.tcl. Virtual servers get the rule where they are declared, behind their own:
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
  description = "Where the collector's hsl_listen is: IPv4 address and port, of a private network."
  type        = string

  # Loopback, RFC 1918, RFC 6598, link-local: what the collector's hsl_listen takes, too.
  validation {
    condition     = can(regex("^(10[.](25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])|127[.](25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])|192[.]168|169[.]254|172[.](1[6-9]|2[0-9]|3[01])|100[.](6[4-9]|[7-9][0-9]|1[01][0-9]|12[0-7]))([.](25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])){2}:[1-9][0-9]{0,4}$", var.collector))
    error_message = "\"${var.collector}\" is not accepted: give a private IPv4 address and a port, such as 10.0.0.5:5140. Towards others, records have to be encrypted: use the folder encrypted."
  }
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
}

resource "bigip_ltm_pool" "log" {
  name        = "/Common/silhouette_log"
  description = "Silhouette's collector"
  # Nothing listens for a connection where records come by UDP.
  monitors = [lookup(var.settings, "transport", "tcp") == "udp" ? "/Common/gateway_icmp" : "/Common/tcp_half_open"]
}

resource "bigip_ltm_pool_attachment" "log" {
  pool = bigip_ltm_pool.log.name
  node = var.collector
}

resource "bigip_ltm_datagroup" "settings" {
  name = "/Common/silhouette_settings"
  type = "string"

  record {
    name = "pool"
    data = bigip_ltm_pool.log.name
  }

  record {
    name = "key_id"
    data = var.key_id
  }

  record {
    name = "key"
    data = var.key
  }

  dynamic "record" {
    for_each = merge({ enabled = "1" }, var.settings)
    content {
      name = record.key
      data = record.value
    }
  }
}

resource "bigip_ltm_irule" "silhouette" {
  name       = "/Common/silhouette"
  irule      = file("${path.module}/../../silhouette.tcl")
  depends_on = [bigip_ltm_datagroup.settings]
}

output "rule" {
  description = "For the irules of virtual servers, behind their own."
  value       = bigip_ltm_irule.silhouette.name
}
