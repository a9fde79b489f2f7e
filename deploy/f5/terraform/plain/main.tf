# Silhouette's iRule on a BIG-IP whose collector is in the same private network. Provider F5Networks/bigip.
#
# The folder lies in the package beside silhouette.tcl. Virtual servers get the rule where they are declared, behind their own:
#
#   irules = concat(local.rules_of_mine, [module.silhouette.rule])

terraform {
  required_providers {
    bigip = {
      source  = "F5Networks/bigip"
      version = ">= 1.16.0, < 2.0.0"
    }
  }
}

variable "collector" {
  description = "Where the collector's hsl_listen is: address:port of a private network."
  type        = string

  validation {
    condition     = can(regex("^(10|172|192|100|169)[.][0-9.]+:[0-9]{1,5}$", var.collector))
    error_message = "Give a private address and a port, such as 10.0.0.5:5140; towards others use the folder encrypted."
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
  description = "Other settings of the rule, by name."
  type        = map(string)
  default     = {}
}

resource "bigip_ltm_pool" "log" {
  name        = "/Common/silhouette_log"
  description = "Silhouette's collector"
  monitors    = ["/Common/tcp_half_open"]
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
