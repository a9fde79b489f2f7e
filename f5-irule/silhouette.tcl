# Silhouette for F5 BIG-IP, TMOS 13.1 to 17.x: captures the HTTP exchanges of the virtual servers it is attached to.
#
# In: requests and responses as they pass, settings from one data-group. Out: one signed ASCII record per exchange, by HSL
# to the log pool that leads to a Silhouette collector; docs/f5.md has its form and every setting.
#
# It never answers, changes or ends a request, never holds one back for longer than collect_wait_ms, never sends the value of a
# header on the deny-list, and keeps nothing: redaction of queries and bodies is done where the record arrives. Whatever
# fails in here is caught, counted in the next record, and logged at most once in log_interval seconds.
#
# One copy of this rule serves any number of virtual servers. A second copy under another name would share its static
# variables, since TMOS has one space of them for all rules. Names that begin with sil are its own: sil_ for a connection's
# variables, static::silset_ for settings, static::sil_ for what one TMM keeps. Nothing is global, so CMP stays on.
#
# The text keeps to what every supported TMOS loads: Tcl 8.4.6, ASCII, no line continuation, balanced braces in comments.

when RULE_INIT {
    set static::sil_version 0.1.0
    # The data-group the settings are in, type string. The one line that an installer may change.
    set static::sil_group /Common/silhouette_settings

    # Every setting: name, kind, default, what is accepted. Lists replace their default, entries that all begin with + are
    # added to it, off empties it.
    set static::sil_table {
        {enabled flag 1 {1, or 0 to capture nothing}}
        {pool word {} {the name of the log pool, such as /Common/silhouette_log}}
        {transport {choice tcp udp} tcp {tcp or udp}}
        {key_id word {} {the name the key was created under at the collector}}
        {key word {} {the secret that silhouette-collector hsl-key create printed}}
        {max_request_body {size 0 65536} 8k {bytes with an optional k, from 0 to 64k}}
        {max_response_body {size 0 65536} 8k {bytes with an optional k, from 0 to 64k}}
        {max_head {size 1024 16384} 16k {bytes with an optional k, from 1k to 16k}}
        {collect {choice off requests responses both} both {off, requests, responses or both}}
        {collect_chunked {choice off responses both} responses {off, responses or both}}
        {collect_wait_ms {count 10 30000} 1000 {milliseconds from 10 to 30000}}
        {content_types {list nocase} {application/json,*+json,text/json,application/x-ndjson,application/jsonl,application/jsonlines,application/graphql,application/x-www-form-urlencoded,multipart/form-data,application/xml,text/xml,application/*+xml,text/plain} {media types such as application/json or *+json, separated by commas or spaces, or off}}
        {redact_headers {list name} {*authorization,cookie,set-cookie,*api-key,*apikey,*token,*secret,*password,*session-id,x-functions-key,ocp-apim-subscription-key,x-goog-iap-jwt-assertion,x-amz-security-token,x-amzn-oidc-data,x-client-cert,x-forwarded-client-cert,x-ssl-client-cert,ssl-client-cert} {header names, * in front for any beginning, separated by commas or spaces, or off}}
        {excluded_statuses statuses {} {statuses (404), classes (5xx) and ranges (500-599) separated by commas or spaces, or off}}
        {excluded_methods {list nocase} {CONNECT,TRACE} {methods separated by commas or spaces, or off}}
        {excluded_headers {list nocase} {} {header names separated by commas or spaces, or off}}
        {include_hosts {list nocase} {} {hosts such as api.example.com or *.example.com, separated by commas or spaces, or off}}
        {exclude_hosts {list nocase} {} {hosts such as api.example.com or *.example.com, separated by commas or spaces, or off}}
        {include_paths {list case} {} {paths with * for any characters, separated by commas or spaces, or off}}
        {exclude_paths {list case} {} {paths with * for any characters, separated by commas or spaces, or off}}
        {sample_rate share 1 {a number from 0 to 1}}
        {log_interval {count 1 86400} 60 {seconds from 1 to 86400}}
    }

    # What string match would take for more than itself.
    set static::sil_literally [list "\\" "\\\\" "?" "\\?" "\[" "\\\["]

    # Who this TMM is. Records are numbered per boot and TMM; the collector finds losses by the gaps.
    set static::sil_boot [format %08x [clock seconds]][format %04x%04x [expr {int(rand() * 65536)}] [expr {int(rand() * 65536)}]]
    set static::sil_tmm [TMM::cmp_unit]
    set static::sil_seq 0
    # What was captured and lost here, and what was left out: totals since this boot.
    set static::sil_refused 0
    set static::sil_faults 0
    array set static::sil_skips {}
    set static::sil_skipped -
    # Some versions do not have the platform here (K14544); then the collector shows neither name nor version.
    set static::sil_facts "rule $static::sil_version\n"
    catch { append static::sil_facts "host $static::tcl_platform(machine)\n" }
    catch { append static::sil_facts "tmos $static::tcl_platform(osVersion)\n" }

    # Whether anything is captured, and how the settings were when they were read: - is not even an empty data-group.
    set static::sil_live 0
    set static::sil_checked 0
    set static::sil_raw -
    set static::sil_problem {}
    set static::silset_log_interval 60
    set static::sil_logged 0
    set static::sil_unlogged 0

    # What was found out about header names and content types; how often each route was seen in this minute. All bounded.
    array set static::sil_secret {}
    array set static::sil_wanted {}
    array set static::sil_routes {}
    set static::sil_minute 0

    # Schemes of the Authorization header, which tell how an API is secured: they are kept, what follows them is not.
    set static::sil_schemes {basic bearer digest dpop gnap hawk hmac hoba jwt mac mutual negotiate ntlm oauth privatetoken signature token vapid apikey api-key aws4-hmac-sha256}
    # Attributes of Set-Cookie, which are no secrets.
    set static::sil_attributes {expires max-age domain path secure httponly samesite priority partitioned}
    # How many parts of cookies get a placeholder of their own in one head: a client chooses how many there are.
    set static::sil_most_parts 200
    set static::sil_jwt eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJzdWIiOiJyZWRhY3RlZCJ9.cmVkYWN0ZWQ
}

# A line in the log, at most one in log_interval seconds. Nothing that a client sent can break it.
proc sil_note {text} {
    set now [clock seconds]
    if { $now >= $static::sil_logged && $now - $static::sil_logged < $static::silset_log_interval } {
        incr static::sil_unlogged
        return
    }
    regsub -all {[^ -~]} $text ? text
    log local0.warning "silhouette: [string range $text 0 400] ($static::sil_unlogged more since the last line)"
    set static::sil_logged $now
    set static::sil_unlogged 0
}

# Milliseconds since then; 0 when the clock was set back.
proc sil_since {clicks} {
    set since [expr {[clock clicks -milliseconds] - $clicks}]
    if { $since < 0 } {
        return 0
    }
    return $since
}

# An error of our own: counted, noted, and never anybody else's.
proc sil_fault {where error} {
    incr static::sil_faults
    call sil_note "an exchange was not captured ($where): $error"
}

# An exchange that is not captured: by the settings, by the collector's name of the reason; or an answer that was retried.
proc sil_count_skip {reason} {
    if { [info exists static::sil_skips($reason)] } {
        incr static::sil_skips($reason)
    } else {
        set static::sil_skips($reason) 1
    }
    set all {}
    foreach one [lsort [array names static::sil_skips]] {
        lappend all $one=$static::sil_skips($one)
    }
    set static::sil_skipped [join $all ,]
}

# The entries of a list.
proc sil_entries {text} {
    set entries {}
    foreach entry [split $text ", \t\r\n"] {
        if { $entry ne "" } {
            lappend entries $entry
        }
    }
    return $entries
}

# A setting's value in the form it is used in; an error when it is none.
proc sil_value {kind default text} {
    set first [lindex $kind 0]
    set text [string trim $text]
    switch -- $first {
        flag {
            if { $text eq "0" || $text eq "1" } {
                return $text
            }
        }
        word {
            if { [regexp {^[!-~]{1,255}$} $text] } {
                return $text
            }
        }
        choice {
            if { [lsearch -exact [lrange $kind 1 end] $text] >= 0 } {
                return $text
            }
        }
        size {
            if { [regexp {^([0-9]{1,6})(k?)$} $text all number unit] } {
                set number [string trimleft $number 0]
                if { $number eq "" } {
                    set number 0
                }
                if { $unit eq "k" } {
                    set number [expr {$number * 1024}]
                }
                if { $number >= [lindex $kind 1] && $number <= [lindex $kind 2] } {
                    return $number
                }
            }
        }
        count {
            if { [regexp {^[1-9][0-9]{0,5}$} $text] && $text >= [lindex $kind 1] && $text <= [lindex $kind 2] } {
                return $text
            }
        }
        share {
            if { [regexp {^(0|1|0?[.][0-9]{1,9}|1[.]0{1,9}|0[.]0{1,9})$} $text] } {
                return $text
            }
        }
        list {
            set entries [call sil_entries $text]
            if { $entries eq "off" } {
                return {}
            }
            set added {}
            foreach entry $entries {
                if { ![regexp {^[!-~]+$} $entry] } {
                    error bad
                }
                if { [string index $entry 0] eq "+" } {
                    lappend added [string range $entry 1 end]
                }
            }
            if { [llength $added] > 0 } {
                if { [llength $added] < [llength $entries] } {
                    error bad
                }
                set entries [concat [call sil_entries $default] $added]
            }
            # Only the star means something in a pattern. Each by itself: as one text, a list has backslashes of its own.
            set patterns {}
            foreach entry $entries {
                set entry [string map $static::sil_literally $entry]
                if { [lindex $kind 1] eq "name" } {
                    set entry [string map {- {} _ {}} $entry]
                }
                if { [lindex $kind 1] ne "case" } {
                    set entry [string tolower $entry]
                }
                lappend patterns $entry
            }
            return $patterns
        }
        statuses {
            set entries [call sil_entries $text]
            if { $entries eq "off" } {
                return {}
            }
            set all {}
            foreach entry $entries {
                if { [regexp {^[1-5]xx$} $entry] } {
                    set from [string index $entry 0]00
                    set to [string index $entry 0]99
                } elseif { [regexp {^[1-5][0-9][0-9]$} $entry] } {
                    set from $entry
                    set to $entry
                } elseif { ![regexp {^([1-5][0-9][0-9])-([1-5][0-9][0-9])$} $entry whole from to] } {
                    error bad
                }
                for { set status $from } { $status <= $to } { incr status } {
                    lappend all $status
                }
            }
            return $all
        }
    }
    error bad
}

# Reads the data-group again. What is wrong in it is noted, and the settings before stay in force.
proc sil_read {} {
    set static::sil_checked [clock seconds]
    if { [catch { class names $static::sil_group } names] } {
        set static::sil_live 0
        set static::sil_raw -
        call sil_note "there is no data-group $static::sil_group of type string: nothing is captured until there is one"
        return
    }
    set raw {}
    foreach name [lsort $names] {
        lappend raw $name [class lookup $name $static::sil_group]
    }
    if { $raw ne $static::sil_raw } {
        set static::sil_raw $raw
        set static::sil_problem [call sil_apply $raw]
    }
    if { $static::sil_problem ne "" } {
        call sil_note $static::sil_problem
    }
}

# Takes the settings over if all of them are right; else says what is wrong.
proc sil_apply {raw} {
    array set given $raw
    # The kill switch works whatever else is wrong.
    if { [info exists given(enabled)] && [string trim $given(enabled)] eq "0" } {
        set static::sil_live 0
        return {}
    }
    set values {}
    foreach row $static::sil_table {
        set name [lindex $row 0]
        set text [lindex $row 2]
        if { [info exists given($name)] } {
            if { [string trim $given($name)] ne "" } {
                set text $given($name)
            }
            unset given($name)
        }
        if { $text eq "" && [lindex $row 1] eq "word" } {
            return "the data-group $static::sil_group needs the setting $name: [lindex $row 3]"
        }
        if { [catch { call sil_value [lindex $row 1] [lindex $row 2] $text } value] } {
            if { $name eq "key" } {
                set text "the value"
            }
            return "setting $name: $text is not accepted: give [lindex $row 3]"
        }
        lappend values $name $value
    }
    set unknown [lsort [array names given]]
    if { [llength $unknown] > 0 } {
        set known {}
        foreach row $static::sil_table {
            lappend known [lindex $row 0]
        }
        return "unknown setting [lindex $unknown 0]: the settings are [join $known {, }]"
    }
    foreach { name value } $values {
        set static::silset_$name $value
    }
    # Whether there is more to ask of a request than its method.
    set static::sil_choosy [expr {$static::silset_sample_rate < 1 || [llength [concat $static::silset_include_hosts $static::silset_exclude_hosts $static::silset_include_paths $static::silset_exclude_paths $static::silset_excluded_headers]] > 0}]
    array unset static::sil_secret
    array set static::sil_secret {}
    array unset static::sil_wanted
    array set static::sil_wanted {}
    set static::sil_live $static::silset_enabled
    return {}
}

# Whether one of the patterns matches.
proc sil_matches {patterns text} {
    foreach pattern $patterns {
        if { [string match $pattern $text] } {
            return 1
        }
    }
    return 0
}

# The same for hosts: a pattern without a port stands for every port.
proc sil_host_matches {patterns host} {
    set name $host
    regexp {^(.*):[0-9]+$} $host all name
    foreach pattern $patterns {
        if { [string match $pattern $name] || [string match $pattern $host] } {
            return 1
        }
    }
    return 0
}

# Why the settings exclude a request by where it goes; empty when they do not.
proc sil_excluded {host path} {
    if { $static::silset_include_hosts ne "" && ![call sil_host_matches $static::silset_include_hosts $host] } {
        return excluded_host
    }
    if { $static::silset_exclude_hosts ne "" && [call sil_host_matches $static::silset_exclude_hosts $host] } {
        return excluded_host
    }
    if { $static::silset_include_paths ne "" && ![call sil_matches $static::silset_include_paths $path] } {
        return excluded_path
    }
    if { $static::silset_exclude_paths ne "" && [call sil_matches $static::silset_exclude_paths $path] } {
        return excluded_path
    }
    return {}
}

# Whether an exchange is in the sample: the first ten of each route in each minute always are, so that a rare route is not
# starved. A route is its path without the segments that have a digit.
proc sil_sampled {method host path} {
    set minute [expr {[clock seconds] / 60}]
    if { $minute != $static::sil_minute } {
        set static::sil_minute $minute
        array unset static::sil_routes
        array set static::sil_routes {}
    }
    # Of a long path the beginning: replacing takes time by the square of its length.
    regsub -all {[^/]*[0-9][^/]*} [string range $path 0 399] * path
    set route [string range "$method $host$path" 0 199]
    if { [info exists static::sil_routes($route)] } {
        if { [incr static::sil_routes($route)] <= 10 } {
            return 1
        }
    } elseif { [array size static::sil_routes] < 1000 } {
        set static::sil_routes($route) 1
        return 1
    }
    return [expr {rand() < $static::silset_sample_rate}]
}

# Whether bodies of this content type are kept.
proc sil_wants {type} {
    set type [string range $type 0 255]
    if { [info exists static::sil_wanted($type)] } {
        return $static::sil_wanted($type)
    }
    if { [array size static::sil_wanted] >= 500 } {
        array unset static::sil_wanted
    }
    set media [string tolower [string trim [lindex [split $type ";"] 0]]]
    set static::sil_wanted($type) [expr {$media ne "" && [call sil_matches $static::silset_content_types $media]}]
    return $static::sil_wanted($type)
}

# Whether a header is on the deny-list. Names are compared without case, hyphens, underscores, and spaces before the colon.
proc sil_is_secret {name} {
    if { [info exists static::sil_secret($name)] } {
        return $static::sil_secret($name)
    }
    set secret [call sil_matches $static::silset_redact_headers [string map {- {} _ {}} [string tolower [string trim $name]]]]
    # A client chooses its headers' names: what is remembered of them is bounded in number and length.
    if { [string length $name] <= 64 } {
        if { [array size static::sil_secret] >= 1000 } {
            array unset static::sil_secret
        }
        set static::sil_secret($name) $secret
    }
    return $secret
}

# A constant of the same class as a secret, so that the document stays right: what the collector would put there, too.
proc sil_placeholder {secret} {
    set length [string length $secret]
    # What is left when all of some characters are trimmed tells whether there are others.
    if { [string trim $secret "0123456789 +-()."] eq "" } {
        if { $length == 10 && [regexp {^[0-9]{4}-[0-9][0-9]-[0-9][0-9]$} $secret] } {
            return 2000-01-01
        }
        if { [regexp {[0-9]} $secret] } {
            regsub -all {[0-9]} [string range $secret 0 63] 1 secret
            return $secret
        }
    }
    if { [string trim $secret 0123456789abcdefABCDEF-] eq "" } {
        if { $length == 36 && [regexp {^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$} $secret] } {
            return 00000000-0000-4000-8000-000000000000
        }
        if { $length >= 8 && [string first - $secret] < 0 } {
            set pair a0
            if { [string tolower $secret] ne $secret } {
                set pair A0
            }
            return [string range [string repeat $pair 64] 0 [expr {$length - 1}]]
        }
    } elseif { [string match eyJ*.*.* $secret] } {
        if { [regexp {^[-A-Za-z0-9_.=]+$} $secret] } {
            return $static::sil_jwt
        }
    } elseif { [string first : $secret] > 0 } {
        if { [regexp {^[0-9]{4}-[0-9][0-9]-[0-9][0-9][Tt ][0-9][0-9]:[0-9][0-9][0-9:.Zz+-]{0,22}$} $secret] } {
            return 2000-01-01T00:00:00Z
        }
        if { [regexp -nocase {^(https|http|wss|ws|ftp|postgres)://[!-~]*$} $secret all scheme] } {
            return [string tolower $scheme]://example.com/redacted
        }
    } elseif { [string first @ $secret] > 0 } {
        if { [regexp {^[-A-Za-z0-9.!#$%&'*+^_|~]+@[A-Za-z0-9-][A-Za-z0-9.-]*[.][A-Za-z0-9.-]*[A-Za-z0-9-]$} $secret] } {
            return redacted@example.com
        }
    }
    if { $length > 64 } {
        set length 64
    }
    return [string repeat x $length]
}

# The value of a header on the deny-list without what is secret in it.
proc sil_mask {name value} {
    set name [string tolower [string trim $name]]
    if { $name eq "cookie" || $name eq "set-cookie" } {
        set kept {}
        set parts [split $value ";"]
        set rest [lrange $parts $static::sil_parts end]
        set parts [lrange $parts 0 [expr {$static::sil_parts - 1}]]
        set static::sil_parts [expr {$static::sil_parts - [llength $parts]}]
        foreach part $parts {
            if { [string trim $part] eq "" } {
                lappend kept $part
                continue
            }
            set equals [string first = $part]
            if { $kept ne "" && $name eq "set-cookie" } {
                set attribute $part
                if { $equals >= 0 } {
                    set attribute [string range $part 0 [expr {$equals - 1}]]
                }
                if { [lsearch -exact $static::sil_attributes [string tolower [string trim $attribute]]] >= 0 } {
                    lappend kept $part
                    continue
                }
            }
            set secret [string trimleft [string range $part [expr {$equals + 1}] end]]
            set before [string range $part 0 [expr {[string length $part] - [string length $secret] - 1}]]
            set secret [string trimright $secret]
            if { [string match {"*"} $secret] && [string length $secret] > 1 } {
                lappend kept "$before\"[call sil_placeholder [string range $secret 1 end-1]]\""
            } else {
                lappend kept $before[call sil_placeholder $secret]
            }
        }
        if { [llength $rest] > 0 } {
            lappend kept [call sil_placeholder [join $rest ";"]]
        }
        return [join $kept ";"]
    }
    set space [string first " " $value]
    if { $space > 0 } {
        set scheme [string range $value 0 [expr {$space - 1}]]
        if { [lsearch -exact $static::sil_schemes [string tolower $scheme]] >= 0 } {
            if { [string tolower $scheme] eq "basic" } {
                return "$scheme cmVkYWN0ZWQ6cmVkYWN0ZWQ="
            }
            return "$scheme [call sil_placeholder [string trim [string range $value $space end]]]"
        }
    }
    return [call sil_placeholder $value]
}

# A raw request head with the values of the deny-list masked. A line that continues a masked one is left out with it.
proc sil_masked_head {raw} {
    set lines [split $raw "\n"]
    set kept [lrange $lines 0 0]
    set masked 0
    foreach line [lrange $lines 1 end] {
        if { [string match "\[ \t\]*" $line] } {
            if { !$masked } {
                lappend kept $line
            }
            continue
        }
        set masked 0
        set colon [string first : $line]
        if { $colon > 0 } {
            set name [string trim [string range $line 0 [expr {$colon - 1}]]]
            if { [call sil_is_secret $name] } {
                set masked 1
                set value [string trim [string range $line [expr {$colon + 1}] end]]
                set line "$name: [call sil_mask $name $value]\r"
            }
        }
        lappend kept $line
    }
    return [join $kept "\n"]
}

# A head in base64, cut to max_head at the end of a line where there is one; and the flag that says so.
proc sil_bounded {head flag} {
    if { [string length $head] <= $static::silset_max_head } {
        return [list [b64encode $head] {}]
    }
    set head [string range $head 0 [expr {$static::silset_max_head - 1}]]
    set end [string last "\n" $head]
    if { $end > 0 } {
        set head [string range $head 0 $end]
    }
    return [list [b64encode $head] $flag]
}

# The request's head as the client sent it.
proc sil_request_head {names raw} {
    set static::sil_parts $static::sil_most_parts
    # Where lines are no headers to TMOS (of another rule, continued, without an end), all lines are walked.
    if { [llength [split $raw "\n"]] != [llength $names] + 3 } {
        return [call sil_bounded [call sil_masked_head $raw] h]
    }
    foreach name $names {
        if { [info exists static::sil_secret($name)] } {
            set secret $static::sil_secret($name)
        } else {
            set secret [call sil_is_secret $name]
        }
        if { $secret } {
            # Its line is looked for by its name as it was sent; where that is not enough, all lines are walked.
            set start [string first "\n$name:" $raw]
            set colon [expr {$start + [string length $name] + 1}]
            set end [string first "\n" $raw $colon]
            if { $start < 0 || $end < 0 || [string first "\n$name:" $raw $colon] >= 0 || [string match "\[ \t\]*" [string range $raw [expr {$end + 1}] [expr {$end + 1}]]] } {
                set raw [call sil_masked_head $raw]
                break
            }
            set value [string trim [string range $raw [expr {$colon + 1}] $end]]
            set raw "[string range $raw 0 $colon] [call sil_mask $name $value]\r[string range $raw $end end]"
        }
    }
    return [call sil_bounded $raw h]
}

# The response's head, put together from its status and headers: there is no command for the raw one. recoded: the coding of the
# body that goes with it is not the head's any more, but this one, or none.
proc sil_response_head {recoded encoding} {
    set static::sil_parts $static::sil_most_parts
    set head "HTTP/1.1 [HTTP::status]\r\n"
    set names [HTTP::header names]
    if { $recoded } {
        set all $names
        set names {}
        foreach name $all {
            if { [string tolower $name] ne "content-encoding" } {
                lappend names $name
            }
        }
        if { $encoding ne "" } {
            append head "Content-Encoding: $encoding\r\n"
        }
    }
    if { [llength $names] == [llength [lsort -unique [string tolower $names]]] } {
        foreach name $names {
            if { [info exists static::sil_secret($name)] } {
                set secret $static::sil_secret($name)
            } else {
                set secret [call sil_is_secret $name]
            }
            if { $secret } {
                append head "$name: [call sil_mask $name [HTTP::header value $name]]\r\n"
            } else {
                append head "$name: [HTTP::header value $name]\r\n"
            }
        }
    } else {
        foreach name $names {
            set key [string tolower $name]
            if { [info exists seen($key)] } {
                continue
            }
            set seen($key) 1
            # The list of one value would be the bare value, in which a space is no separator.
            if { [HTTP::header count $name] > 1 } {
                set values [HTTP::header values $name]
            } else {
                set values [list [HTTP::header value $name]]
            }
            set secret [call sil_is_secret $name]
            foreach value $values {
                if { $secret } {
                    set value [call sil_mask $key $value]
                }
                append head "$name: $value\r\n"
            }
        }
    }
    append head "\r\n"
    return [call sil_bounded $head r]
}

# What is known of the connection, for the record: names of things, TLS. To be asked on the client's side: in events of the
# server's, SSL:: speaks of the connection to the server.
proc sil_facts {} {
    set facts "$static::sil_facts"
    append facts "virtual [virtual name]\n"
    if { [PROFILE::exists clientssl] } {
        catch { append facts "tls [SSL::cipher version]\n" }
        catch { append facts "cipher [SSL::cipher name]\n" }
        catch { append facts "sni [string range [string map {\n {} \r {}} [SSL::sni name]] 0 254]\n" }
        catch {
            if { [SSL::cert count] > 0 && [SSL::verify_result] == 0 } {
                append facts "cert 1\n"
            }
        }
    }
    return $facts
}

# Numbers, signs and sends a record. before: its fields up to the facts; heads and bodies follow.
proc sil_send {handle before request_head request_body response_head response_body} {
    incr static::sil_seq
    set dropped {}
    if { $static::sil_refused > 0 } {
        lappend dropped refused=$static::sil_refused
    }
    if { $static::sil_faults > 0 } {
        lappend dropped fault=$static::sil_faults
    }
    if { [llength $dropped] > 0 } {
        set dropped [join $dropped ,]
    } else {
        set dropped -
    }
    set fields "$static::sil_boot $static::sil_tmm $static::sil_seq $dropped $static::sil_skipped $before $request_head $request_body $response_head $response_body"
    # A datagram takes 65,507 bytes. The sizes in the record tell that there were bodies.
    if { $static::silset_transport eq "udp" && [string length $fields] > 60000 } {
        set fields "$static::sil_boot $static::sil_tmm $static::sil_seq $dropped $static::sil_skipped $before $request_head - $response_head -"
    }
    binary scan [CRYPTO::sign -alg hmac-sha256 -key $static::silset_key $fields] H* mac
    set sent [HSL::send $handle "SIL1 [string length $fields] $static::silset_key_id $mac $fields\n"]
    if { $sent eq "0" } {
        incr static::sil_refused
    }
}

when HTTP_REQUEST priority 100 {
    if { [catch {
        if { [info exists sil_on] && $sil_on } {
            set sil_on 0
            if { $sil_head_ms ne "-" } {
                # There was an answer, and another rule asks again (HTTP::retry): what comes now is the same exchange to the client.
                call sil_count_skip retried
            } else {
                # What was never answered is recorded when the next request shows that it never will be.
                call sil_send $sil_handle "$sil_begin - - ${sil_scheme}u$sil_cut $sil_ends $sil_server $sil_version $sil_request_size - $sil_facts64" $sil_head64 $sil_request64 - -
            }
        }
        set sil_on 0
        # Another rule may have answered while a body was waited for: its timer must not release the next one.
        if { [info exists sil_collecting] && $sil_collecting > 0 } {
            after cancel $sil_timer
        }
        set sil_collecting 0
        # Not only later: a clock may be set back.
        if { [clock seconds] - $static::sil_checked >= 5 || [clock seconds] < $static::sil_checked } {
            call sil_read
        }
        if { $static::sil_live } {
            set sil_method [HTTP::method]
            set sil_reason {}
            if { [lsearch -exact $static::silset_excluded_methods [string tolower $sil_method]] >= 0 } {
                set sil_reason excluded_method
            } elseif { $static::sil_choosy } {
                set sil_host [string tolower [HTTP::host]]
                set sil_reason [call sil_excluded $sil_host [HTTP::path]]
                if { $sil_reason eq "" } {
                    foreach sil_name $static::silset_excluded_headers {
                        if { [HTTP::header exists $sil_name] } {
                            set sil_reason excluded_header
                        }
                    }
                }
                if { $sil_reason eq "" && $static::silset_sample_rate < 1 && ![call sil_sampled $sil_method $sil_host [HTTP::path]] } {
                    set sil_reason sampled_out
                }
            }
            if { $sil_reason ne "" } {
                call sil_count_skip $sil_reason
            } else {
                set sil_clicks [clock clicks -milliseconds]
                set sil_begin [clock seconds]
                # The name in a variable: with the name itself the virtual server would take the log pool's status.
                if { ![info exists sil_pool] || $sil_pool ne "$static::silset_transport $static::silset_pool" } {
                    set sil_log_pool $static::silset_pool
                    set sil_handle [HSL::open -proto [string toupper $static::silset_transport] -pool $sil_log_pool]
                    # Only now: where it fails, the next request tries again.
                    set sil_pool "$static::silset_transport $static::silset_pool"
                }
                if { ![info exists sil_ends] } {
                    set sil_ends "[IP::client_addr] [TCP::client_port] [IP::local_addr] [TCP::local_port]"
                    set sil_scheme {}
                    if { [PROFILE::exists clientssl] } {
                        set sil_scheme s
                    }
                    set sil_http2 0
                    catch { set sil_http2 [HTTP2::active] }
                    set sil_facts [call sil_facts]
                    set sil_plain_facts64 [b64encode $sil_facts]
                    set sil_member_pool {}
                }
                set sil_facts64 $sil_plain_facts64
                if { $sil_http2 } {
                    set sil_version 2
                } else {
                    set sil_version [HTTP::version]
                    if { [lsearch -exact {0.9 1.0 1.1 2 2.0 3 3.0} $sil_version] < 0 } {
                        set sil_version -
                    }
                }
                set sil_bounded [call sil_request_head [HTTP::header names] [HTTP::request]]
                set sil_head64 [lindex $sil_bounded 0]
                set sil_cut [lindex $sil_bounded 1]
                set sil_request64 -
                set sil_response64 -
                set sil_encoding {}
                set sil_request_size -
                set sil_response_size -
                set sil_server "- -"
                set sil_head_ms -
                set sil_done 0
                set sil_on 1

                # The body, if it is one to keep and waiting for it can stall nobody: a client that expects a 100 sends none
                # before it, one that sends in chunks may be waiting for an answer to the first.
                set sil_length [HTTP::header value Content-Length]
                # Without leading zeros, which would make it an octal number.
                if { [regexp {^0*([0-9]{1,15})$} $sil_length sil_all sil_length] } {
                    set sil_request_size $sil_length
                    set sil_asked $sil_length
                    if { [string length $sil_length] > 7 || $sil_length > $static::silset_max_request_body } {
                        set sil_asked $static::silset_max_request_body
                    }
                } elseif { [HTTP::header exists Transfer-Encoding] } {
                    # A byte more than is kept tells whether there is more.
                    set sil_length -
                    set sil_request_size 1+
                    set sil_asked 0
                    if { $static::silset_collect_chunked eq "both" && $static::silset_max_request_body > 0 } {
                        set sil_asked [expr {$static::silset_max_request_body + 1}]
                    }
                } else {
                    set sil_length -
                    set sil_asked 0
                }
                if { $sil_asked > 0 && ($static::silset_collect eq "both" || $static::silset_collect eq "requests") && ![HTTP::header exists Expect] && ![HTTP::header exists Upgrade] && [call sil_wants [HTTP::header value Content-Type]] } {
                    # Another rule may have answered already: then there is nothing to collect.
                    if { ![catch { HTTP::collect $sil_asked }] } {
                        set sil_collecting 1
                        # Whether a release brings the event of the data is not told for sure, so what is there is taken here.
                        set sil_timer [after $static::silset_collect_wait_ms {
                            if { [catch {
                                if { $sil_collecting == 1 } {
                                    set sil_collecting 0
                                    append sil_cut q
                                    set sil_have 0
                                    catch {
                                        set sil_have [HTTP::payload length]
                                        if { $sil_have > 0 } {
                                            set sil_request64 [b64encode [HTTP::payload $static::silset_max_request_body]]
                                        }
                                    }
                                    # Where all is here that was asked for, another rule waits for more: that is its own affair.
                                    if { $sil_have < $sil_asked } {
                                        HTTP::release
                                    }
                                }
                            } sil_error] } {
                                catch { call sil_fault timer $sil_error }
                            }
                        }]
                    }
                }
            }
        }
    } sil_error] } {
        catch { set sil_on 0 }
        catch { call sil_fault HTTP_REQUEST $sil_error }
    }
}

when HTTP_REQUEST_DATA priority 100 {
    if { [catch {
        if { [info exists sil_on] && $sil_on && $sil_collecting == 1 } {
            set sil_collecting 0
            after cancel $sil_timer
            set sil_have [HTTP::payload length]
            if { $sil_have > 0 } {
                set sil_request64 [b64encode [HTTP::payload $static::silset_max_request_body]]
            }
            if { $sil_length eq "-" } {
                if { $sil_have < $sil_asked } {
                    set sil_request_size $sil_have
                } else {
                    set sil_request_size $sil_have+
                    append sil_cut q
                }
            } elseif { $sil_have < $sil_length || $sil_asked < $sil_length } {
                append sil_cut q
            }
        }
    } sil_error] } {
        catch { set sil_on 0 }
        catch { call sil_fault HTTP_REQUEST_DATA $sil_error }
    }
}

# Before other rules: of several collects TMOS heeds the last one, and another rule must get the data it asked for.
when HTTP_RESPONSE priority 100 {
    if { [catch {
        # What comes on the way to an answer (100, 103) is none. F5 does not say for sure which events it has.
        if { [info exists sil_on] && $sil_on && ([HTTP::status] >= 200 || [HTTP::status] == 101) } {
            set sil_done 0
            set sil_head_ms [call sil_since $sil_clicks]
            set sil_server "[IP::server_addr] [TCP::server_port]"
            set sil_pool_name {}
            catch { set sil_pool_name [LB::server pool] }
            if { $sil_member_pool ne $sil_pool_name } {
                set sil_member_pool $sil_pool_name
                set sil_pool_facts64 [b64encode "${sil_facts}pool $sil_member_pool\n"]
            }
            if { $sil_member_pool ne "" } {
                set sil_facts64 $sil_pool_facts64
            }
            set sil_status [HTTP::status]
            set sil_length [HTTP::header value Content-Length]
            set sil_asked 0
            if { $sil_method eq "HEAD" || $sil_status < 200 || $sil_status == 204 || $sil_status == 304 } {
                set sil_length 0
            } elseif { [regexp {^0*([0-9]{1,15})$} $sil_length sil_all sil_length] } {
                set sil_asked $sil_length
                if { [string length $sil_length] > 7 || $sil_length > $static::silset_max_response_body } {
                    set sil_asked $static::silset_max_response_body
                }
            } else {
                set sil_length 1+
                if { $static::silset_collect_chunked ne "off" && $static::silset_max_response_body > 0 } {
                    set sil_asked [expr {$static::silset_max_response_body + 1}]
                }
            }
            set sil_response_size $sil_length
            if { $sil_length eq "0" } {
                set sil_done 1
            }
            if { $sil_asked > 0 && ($static::silset_collect eq "both" || $static::silset_collect eq "responses") && [call sil_wants [HTTP::header value Content-Type]] } {
                # Another rule may have answered already: then there is nothing to collect.
                if { ![catch { HTTP::collect $sil_asked }] } {
                    set sil_collecting 2
                    set sil_timer [after $static::silset_collect_wait_ms {
                        if { [catch {
                            if { $sil_collecting == 2 } {
                                set sil_collecting 0
                                append sil_cut p
                                set sil_have 0
                                catch {
                                    set sil_have [HTTP::payload length]
                                    if { $sil_have > 0 } {
                                        set sil_encoding [HTTP::header value Content-Encoding]
                                        set sil_response64 [b64encode [HTTP::payload $static::silset_max_response_body]]
                                    }
                                }
                                if { $sil_have < $sil_asked } {
                                    HTTP::release
                                }
                            }
                        } sil_error] } {
                            catch { call sil_fault timer $sil_error }
                        }
                    }]
                }
            }
        }
    } sil_error] } {
        catch { set sil_on 0 }
        catch { call sil_fault HTTP_RESPONSE $sil_error }
    }
}

# After other rules, so that the body is the one the client gets.
when HTTP_RESPONSE_DATA priority 900 {
    if { [catch {
        if { [info exists sil_on] && $sil_on && $sil_collecting == 2 } {
            set sil_collecting 0
            after cancel $sil_timer
            set sil_have [HTTP::payload length]
            if { $sil_have > 0 } {
                set sil_encoding [HTTP::header value Content-Encoding]
                set sil_response64 [b64encode [HTTP::payload $static::silset_max_response_body]]
            }
            if { $sil_length eq "1+" } {
                if { $sil_have < $sil_asked } {
                    set sil_response_size $sil_have
                    set sil_done 1
                } else {
                    set sil_response_size $sil_have+
                    append sil_cut p
                }
            } elseif { $sil_have < $sil_length || $sil_asked < $sil_length } {
                append sil_cut p
            } else {
                set sil_done 1
            }
        }
    } sil_error] } {
        catch { set sil_on 0 }
        catch { call sil_fault HTTP_RESPONSE_DATA $sil_error }
    }
}

# What the client gets, from a server or from the BIG-IP itself: other rules have changed what they change.
when HTTP_RESPONSE_RELEASE priority 900 {
    if { [catch {
        if { [info exists sil_on] && $sil_on && ([HTTP::status] >= 200 || [HTTP::status] == 101) } {
            set sil_on 0
            # Another rule may have answered in the server's place: while its body was waited for, or after that was taken.
            if { $sil_collecting > 0 } {
                set sil_collecting 0
                after cancel $sil_timer
            }
            if { $sil_response64 ne "-" && [HTTP::status] ne $sil_status } {
                set sil_response64 -
            }
            set sil_status [HTTP::status]
            if { [lsearch -exact $static::silset_excluded_statuses $sil_status] >= 0 } {
                call sil_count_skip excluded_status
            } else {
                set sil_total [call sil_since $sil_clicks]
                if { $sil_head_ms eq "-" } {
                    set sil_head_ms $sil_total
                }
                if { $sil_response64 eq "-" } {
                    # The size is what the head says that the client gets.
                    set sil_length [HTTP::header value Content-Length]
                    if { $sil_method eq "HEAD" || $sil_status < 200 || $sil_status == 204 || $sil_status == 304 } {
                        set sil_length 0
                    }
                    if { [regexp {^0*([0-9]{1,15})$} $sil_length sil_all sil_length] } {
                        set sil_response_size $sil_length
                    } elseif { $sil_response_size eq "-" } {
                        set sil_response_size 1+
                    }
                }
                if { !$sil_done } {
                    set sil_total -
                }
                # An HTTP compression profile has its turn between the body's event and this one.
                set sil_recoded [expr {$sil_response64 ne "-" && [HTTP::header value Content-Encoding] ne $sil_encoding}]
                set sil_bounded [call sil_response_head $sil_recoded $sil_encoding]
                set sil_flags $sil_scheme$sil_cut[lindex $sil_bounded 1]
                if { $sil_flags eq "" } {
                    set sil_flags -
                }
                call sil_send $sil_handle "$sil_begin $sil_head_ms $sil_total $sil_flags $sil_ends $sil_server $sil_version $sil_request_size $sil_response_size $sil_facts64" $sil_head64 $sil_request64 [lindex $sil_bounded 0] $sil_response64
            }
            # An idle connection holds nothing of what passed.
            set sil_bounded -
            set sil_head64 -
            set sil_request64 -
            set sil_response64 -
        }
    } sil_error] } {
        catch { set sil_on 0 }
        catch { call sil_fault HTTP_RESPONSE_RELEASE $sil_error }
    }
}

# A client that left before it was answered.
when CLIENT_CLOSED priority 900 {
    if { [catch {
        if { [info exists sil_on] && $sil_on } {
            set sil_on 0
            call sil_send $sil_handle "$sil_begin - - ${sil_scheme}u$sil_cut $sil_ends $sil_server $sil_version $sil_request_size - $sil_facts64" $sil_head64 $sil_request64 - -
        }
    } sil_error] } {
        catch { call sil_fault CLIENT_CLOSED $sil_error }
    }
}
