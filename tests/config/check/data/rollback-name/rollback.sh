kubectl patch clusterpolicy cluster-policy --type=json -p='[{"op": "remove", "path": "/spec/devicePlugin/config"}]'
kubectl delete configmap time-slicing -n gpu-operator-resources
