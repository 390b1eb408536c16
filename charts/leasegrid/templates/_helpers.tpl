{{- define "leasegrid.fullname" -}}
{{- if .Values.fullnameOverride }}{{ .Values.fullnameOverride }}
{{- else if contains "leasegrid" .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}{{ printf "%s-leasegrid" .Release.Name | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "leasegrid.operator" -}}
{{ include "leasegrid.fullname" . }}-operator
{{- end }}

{{- define "leasegrid.selector" -}}
app.kubernetes.io/name: leasegrid
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "leasegrid.labels" -}}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
app.kubernetes.io/name: leasegrid
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "leasegrid.image" -}}
{{- if .Values.image.digest }}{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else }}{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}
{{- end }}

{{- define "leasegrid.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ .Values.serviceAccount.name | default (include "leasegrid.operator" .) }}
{{- else }}{{ required "serviceAccount.name is needed where serviceAccount.create is false" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "leasegrid.scheme" -}}
{{ ternary "https" "http" .Values.tls.enabled }}
{{- end }}

{{- /* The ConfigMap in which the operator keeps who vouches for its broker. */}}
{{- define "leasegrid.authority" -}}
{{ include "leasegrid.fullname" . }}-ca
{{- end }}

{{- /* The Secret that is mounted as the broker's certificate; empty when the operator makes its own. */}}
{{- define "leasegrid.certificate" -}}
{{- if and .Values.tls.enabled (ne .Values.tls.mode "SelfMade") }}{{ .Values.tls.secretName | default (printf "%s-cert" (include "leasegrid.operator" .)) }}
{{- end }}
{{- end }}

{{- define "leasegrid.host" -}}
{{ include "leasegrid.operator" . }}.{{ .Release.Namespace }}.svc
{{- end }}

{{- /* What stands in the broker's certificate. */}}
{{- define "leasegrid.tlsName" -}}
{{ ternary (first .Values.tls.names) "" (eq .Values.tls.mode "Secret") | default (include "leasegrid.host" .) }}
{{- end }}

{{- define "leasegrid.address" -}}
{{ include "leasegrid.scheme" . }}://{{ include "leasegrid.host" . }}:8080
{{- end }}

{{- define "leasegrid.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "leasegrid.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- /* Namespaces that the chart knows to have members. */}}
{{- define "leasegrid.memberNamespaces" -}}
{{- $names := concat .Values.namespaces .Values.networkPolicies.memberNamespaces }}
{{- range .Values.pools }}{{ $names = append $names (.namespace | default $.Release.Namespace) }}{{ end }}
{{- $names | uniq | sortAlpha | join " " }}
{{- end }}

{{- /* What the operator does in the namespaces that it serves; tests/chart compares it with the calls that it makes. */}}
{{- define "leasegrid.namespacedRules" -}}
- apiGroups: [leasegrid.dev]
  resources: [instancepools]
  verbs: [list, watch]
- apiGroups: [leasegrid.dev]
  resources: [leases]
  verbs: [get, list, watch, create, delete]
- apiGroups: [leasegrid.dev]
  resources: [jobs, taskgraphs]
  verbs: [list, watch, delete]
- apiGroups: [leasegrid.dev]
  resources: [instancepools/status, leases/status, jobs/status, taskgraphs/status]
  verbs: [patch]
- apiGroups: [""]
  resources: [pods, persistentvolumeclaims]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch]
# By name alone, and only those that a job of the same namespace names: none is listed or watched.
- apiGroups: [""]
  resources: [configmaps, secrets]
  verbs: [get]
# The way into a job's store, for the pod that copies its outputs into a claim, and gone with that pod.
- apiGroups: [""]
  resources: [secrets]
  verbs: [create]
{{- end }}
